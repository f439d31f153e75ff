"""`setup` and `teardown` of agents' classes: once in each process, on the event loop on which its agents run."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import cast
from weakref import WeakKeyDictionary

from pavo.agents.contract import Agent
from pavo.agents.hosts.boundary import Boundary, Code, end_cut, runs_code
from pavo.agents.raised import traceback_of
from pavo.errors import AgentError, AgentRefused
from pavo.kit.clock import wait_awake

logger = logging.getLogger(__name__)

_HOLDS_ON_SECONDS = 0.1
"""For one that was cut to end; it is left behind then."""
_set_up: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[type[Agent], "asyncio.Task[None]"]] = WeakKeyDictionary()
"""By event loop the setups that have ended well, or are under way."""


async def set_up(agent: type[Agent], boundary: Boundary, seconds: float) -> None:
    """Run `setup` unless it ran in this process already; who comes meanwhile waits for it.

    Raises:
        AgentError: it raised, or took longer; the next call tries again.
    """
    if _is_default(agent, "setup") and _is_default(agent, "teardown"):
        return
    known = _set_up.setdefault(asyncio.get_running_loop(), {})
    if agent not in known:
        known[agent] = asyncio.create_task(_bounded(agent, boundary, seconds), name=f"setup of {agent.__qualname__}")
    task = known[agent]
    try:
        await asyncio.shield(task)
    finally:
        if task.done() and (task.cancelled() or task.exception() is not None) and known.get(agent) is task:
            del known[agent]


async def tear_down(seconds: float) -> Sequence[str]:
    """Run `teardown` of all classes that were set up, at once; what failed is logged, and answered."""
    known = _set_up.pop(asyncio.get_running_loop(), {})
    ready = [agent for agent, task in known.items() if task.done() and not task.cancelled() and not task.exception()]
    running = {asyncio.create_task(_torn_down(agent)): agent for agent in ready}
    if not running:
        return []
    await asyncio.wait(running, timeout=seconds)
    failed: list[str] = []
    for task, agent in running.items():
        if not task.done():
            await end_cut(task, _HOLDS_ON_SECONDS)
            failed.append(f"teardown() of {agent.__qualname__} took longer than {seconds:g} s")
        elif task.cancelled():
            failed.append(f"teardown() of {agent.__qualname__} cancelled itself")
        elif (told := task.result()) is not None:
            failed.append(f"teardown() of {agent.__qualname__} failed.\n{told}")
    for each in failed:
        logger.warning("%s", each)
    return failed


async def _bounded(agent: type[Agent], boundary: Boundary, seconds: float) -> None:
    async def called() -> None:
        runs_code(Code(agent, of_class=True))
        await boundary.run(lambda: _called(agent.setup, "setup"), "setup")

    call = asyncio.create_task(called())
    await wait_awake({call}, seconds)
    if not call.done():
        await end_cut(call, _HOLDS_ON_SECONDS)
        remedy = "Have it wait for less, or wait within the calls."
        raise AgentError(f"setup() took longer than {seconds:g} s.", remedy=remedy)
    if call.cancelled():
        raise AgentError("setup() cancelled itself.")
    call.result()


async def _torn_down(agent: type[Agent]) -> str | None:
    runs_code(Code(agent, of_class=True))
    try:
        await _called(agent.teardown, "teardown")
    except BaseException as error:  # noqa: BLE001 - of the agent; told with its traceback
        return traceback_of(error)
    return None


async def _called(method: Callable[[], Awaitable[None]], name: str) -> None:
    result = method()
    if not isinstance(cast(object, result), Awaitable):
        raise AgentRefused(f"{name}() returned {type(result).__name__} at once. Write it as `async def`.")
    await result


def _is_default(agent: type[Agent], name: str) -> bool:
    return getattr(getattr(agent, name), "__func__", None) is getattr(Agent, name).__func__
