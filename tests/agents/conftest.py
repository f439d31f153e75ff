import asyncio
import contextlib
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from pavo.agents.contract import Agent, AgentContext, Hit, Plan, PlanStep, UserMessage
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.preloading import Preloading
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.starting import ChildStarter, Spawning
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.errors import InvalidInput, Unavailable

uvloop.new_event_loop().close()  # libuv keeps a pipe for the whole process from its first loop on
sys.path.insert(0, str(Path(__file__).parent))

PLAN = Plan(1, "h1", "A plan", (PlanStep("one"), PlanStep("two", "detail")))
LIMITS = HostLimits(memory_mb=256, silence_seconds=1.0, start_seconds=30, close_seconds=1.0)
NAMED = ("PAVO_TEST_NOTES",)
"""Environment variables by which tests tell agents' processes something."""


class FakeCorpus:
    """Finds one hit whose title is the query."""

    async def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        match query:
            case "away":
                raise Unavailable("PostgreSQL cannot be reached.", dependency="postgres", retry_after=7)
            case "invalid":
                raise InvalidInput("Not a query.", field="query")
            case "bug":
                raise ZeroDivisionError
            case _:
                return [Hit(f"{query}/{limit}", "…", 0.5)]


class AwayInbox:
    """Nobody's messages can be read."""

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        raise Unavailable(f"Those after {after} cannot be read.", dependency="postgres", retry_after=7)


def context(**options: Any) -> AgentContext:
    return AgentContext(
        task_id=uuid.uuid4(),
        organisation_id=uuid.uuid4(),
        title="Analyze",
        prompt="Do it",
        options=options,
        corpus=FakeCorpus(),
        context=(Hit("Memo", "about it", 1.0),),
        inbox=AwayInbox(),
    )


def target_of(agent: type[Agent]) -> str:
    return f"{agent.__module__}:{agent.__qualname__}"


def make_host(
    kind: str, agent: type[Agent], ctx: AgentContext, limits: HostLimits = LIMITS, starter: ChildStarter | None = None
) -> AgentHost:
    if kind == "worker":
        return WorkerHost(agent, ctx, limits)
    return ProcessHost(target_of(agent), ctx, limits, starter=starter or Spawning(NAMED))


@contextlib.asynccontextmanager
async def opened(
    kind: str, agent: type[Agent], limits: HostLimits = LIMITS, **options: Any
) -> AsyncIterator[AgentHost]:
    """A host of one kind: `worker`, `process` (forked from a preloaded one), `spawned` (a new interpreter)."""
    preloading = Preloading(memory_mb=limits.memory_mb, named=NAMED) if kind == "process" else None
    host = make_host(kind, agent, context(**options), limits, preloading)
    try:
        yield host
    finally:
        await host.close()
        if preloading is not None:
            await preloading.close()


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """No test leaves a process, a zombie or a descriptor behind.

    The stores of other tests are supervised by this very process, which greets them now and then: a server that forks
    for each connection has children that come and go, and so have sockets.
    """
    children = {child.pid for child in psutil.Process().children()}
    descriptors = set(os.listdir("/proc/self/fd"))
    yield
    await until(lambda: {child.pid for child in psutil.Process().children()} <= children, seconds=10)
    await until(lambda: not _opened_since(descriptors), seconds=10)


def _opened_since(descriptors: set[str]) -> dict[str, str]:
    found = {number: _target(number) for number in set(os.listdir("/proc/self/fd")) - descriptors}
    return {number: target for number, target in found.items() if target}


def _target(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return ""
