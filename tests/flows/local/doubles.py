"""A local engine whose tools note how they are called."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pavo.errors import Unavailable
from pavo.flows.definition.definition import Definition
from pavo.flows.ledger.records import History, RunRecord
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.steps import LocalSteps
from pavo.flows.runs import RunService
from pavo.tools.builtin.web import WebPage
from pavo.tools.contract import tool
from pavo.tools.described import Tool, tool_of


@dataclass
class Called:
    """Tools whose functions note how they are called."""

    functions: dict[str, Tool] = field(default_factory=dict[str, Tool])
    calls: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    at_once: int = 0
    most: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)
    hold: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        for function in (self.echo, self.flaky, self.broken, self.hangs, self.slowly, self.undo):
            self.functions[function.__name__] = tool_of(function.__name__, function)

    def echo(self, value: Any = None) -> Any:
        """Give what is given."""
        with self.turn:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.calls.append(("echo", value))
        time.sleep(0.01)
        with self.turn:
            self.at_once -= 1
        return value

    def flaky(self, times: int) -> str:
        """Be away so often."""
        self.calls.append(("flaky", times))
        if len(self.calls) <= times:
            raise Unavailable("It is away.", dependency="it")
        return "there"

    def broken(self) -> str:
        """Fail."""
        self.calls.append(("broken", None))
        raise ValueError("no")

    def hangs(self) -> str:
        """Wait for whoever calls."""
        self.hold.wait(60)
        return "late"

    @tool(effect="read")
    async def slowly(self) -> str:
        """Wait on a loop."""
        await asyncio.sleep(60)
        return "late"

    @tool(effect="idempotent")
    def undo(self, value: Any) -> None:
        """Undo it."""
        self.calls.append(("undo", value))

    def settle(self) -> None:
        """They are there."""

    def all(self) -> Sequence[Tool]:
        return list(self.functions.values())

    def is_ready(self, name: str) -> bool:
        return True

    def find(self, name: str) -> Tool | None:
        return self.functions.get(name)


class Pages:
    """The web."""

    async def get(self, url: str) -> WebPage:
        return WebPage(503 if "away" in url else 200, url, "text/plain", f"page of {url}", cut=False)


@dataclass
class Local:
    """An engine, and runs of an organisation."""

    service: RunService
    engine: LocalEngine
    steps: LocalSteps
    organisation: uuid.UUID
    define: Callable[..., Definition]

    async def begin(self, text: str, inputs: Mapping[str, Any] | None = None) -> uuid.UUID:
        return await self.service.begin(self.organisation, self.define(text), inputs or {})

    async def run(self, text: str, inputs: Mapping[str, Any] | None = None) -> RunRecord:
        async with asyncio.timeout(60):
            return await self.engine.run(await self.begin(text, inputs))

    async def history(self, run: uuid.UUID) -> History:
        return await self.service.history(self.organisation, run)

    async def states(self, run: uuid.UUID) -> dict[str, str]:
        return {key.step: each.state for key, each in (await self.history(run)).results.items()}
