"""Durable functions: calls that go through the ledger, and run where their agent runs.

A tool runs in the worker; a function of an agent's own runs in its process. So its host asks the worker to write the
call down, runs it, and has its outcome written.
"""

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol, TypeAlias
from uuid import UUID

from pavo.agents.asking.question import People
from pavo.agents.calling.request import ToolAnswer, ToolRequest
from pavo.errors import AgentRefused
from pavo.kit.texts.storable import storable

PREFIX: Final = "function/"
"""Begins the name of each durable function where tools have theirs: none is called in the place of a tool."""
FRESH_SECONDS: Final = 0.5
"""A call begins so long after the lease was seen to hold, at most: a worker that was paused in between looks again. It
is less than anybody needs to take the task over and to say that the call did not happen."""
MAX_RESULT_BYTES: Final = 256_000
"""Of a result as JSON: it is kept with the call, and handed to the agent."""

CallState: TypeAlias = Literal["done", "failed", "unknown", "denied"]
"""How a call ended; denied: it never began."""
Effect: TypeAlias = Literal["read", "idempotent", "unsafe"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of running a tool, or a function."""

    value: Any = None
    error: str | None = None
    remedy: str | None = None
    unknown: bool = False
    """Whether it happened cannot be told."""

    @property
    def state(self) -> CallState:
        """How the call ended."""
        return "unknown" if self.unknown else "done" if self.error is None else "failed"

    @property
    def storable(self) -> "Outcome":
        """The same, its texts as PostgreSQL can store them, whoever wrote them."""
        return replace(self, error=_storable(self.error), remedy=_storable(self.remedy))


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that is written down, and is to be run now."""

    id: str
    """Its idempotency key too."""
    looked: float
    """When the lease was seen to hold, by this machine's monotonic clock."""


class Ledger(Protocol):
    """Where the calls of functions are written down, for one attempt at a task."""

    async def begin(self, request: ToolRequest, effect: Effect) -> Begun | ToolAnswer:
        """Write down that it begins; or what is known of it already.

        Raises:
            Unavailable: it cannot be written, or the attempt is over.
        """
        ...

    async def look(self, call_id: str) -> float:
        """See once more that the attempt goes on; as `Begun.looked`.

        Raises:
            Unavailable: it is over.
        """
        ...

    async def settle(self, call_id: str, outcome: Outcome) -> ToolAnswer | None:
        """Write down what came of it. None: that is not known, and `begin` tells what follows.

        Raises:
            Unavailable: it cannot be written, or the attempt is over.
        """
        ...


class NoLedger:
    """For contexts that are made by hand."""

    async def begin(self, request: ToolRequest, effect: Effect) -> Begun | ToolAnswer:
        """Raises: there is none."""
        raise AgentRefused(f"{request.tool} cannot be called here: there is no ledger.", remedy="Give the context one.")

    async def look(self, call_id: str) -> float:
        """Never called: nothing has begun."""
        raise RuntimeError("Nothing has begun.")

    async def settle(self, call_id: str, outcome: Outcome) -> ToolAnswer | None:
        """Never called: nothing has begun."""
        raise RuntimeError("Nothing has begun.")


Run: TypeAlias = Callable[[str], Awaitable[Outcome]]
"""Runs a function, given the call's id; raises nothing."""


async def carry_out(ledger: Ledger, request: ToolRequest, effect: Effect, run: Run) -> ToolAnswer:
    """Run a function, unless its outcome is recorded."""
    while True:
        begun = await ledger.begin(request, effect)
        if isinstance(begun, ToolAnswer):
            return begun
        looked = begun.looked
        while time.monotonic() - looked > FRESH_SECONDS:
            looked = await ledger.look(begun.id)
        answer = await ledger.settle(begun.id, await run(begun.id))
        if answer is not None:
            return answer


class Caller(Protocol):
    """The agent whose `execute` runs here."""

    async def function(self, request: ToolRequest, effect: Effect, run: Run) -> Any:
        """What came of the function; waits for people where it must.

        Raises:
            ToolFailed, AgentRefused: see `contract.AgentContext.call`.
        """
        ...

    def asking(self, people: People) -> "Caller":
        """The same, with others whom it asks."""
        ...

    @property
    def ids(self) -> tuple[UUID, UUID]:
        """Of the task and its organisation."""
        ...


_caller: ContextVar[Caller | None] = ContextVar("pavo_calls_functions", default=None)


def runs_execute(caller: Caller | None) -> None:
    """From here on, in this task and what it starts, functions are this agent's; None: nobody's."""
    _caller.set(caller)


def current_caller() -> Caller | None:
    """Whose `execute` runs here."""
    return _caller.get()
