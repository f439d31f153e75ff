"""Whatever an agent's code raises, returns or does, its task hears of it; the loop and the neighbours live on."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hostile_agents import APART, RAISED, AtOnce, BadEnd, Forking, Hostile, Liar, SelfCancelling, Untrue
from sample_agents import Sample

from conftest import PLAN, opened
from pavo.agents.contract import FeedbackItem, Step
from pavo.agents.hosts.agent_host import AgentHost
from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.errors import AgentDied, AgentError, AgentRefused

METHODS = ("plan", "revise", "execute", "report")
FEEDBACK = [FeedbackItem("f1", "more")]
SECONDS = 15
"""For an answer; silence would be for ever."""
SAYS = {
    "panic": "Panic: of an extension",
    "interrupt": "KeyboardInterrupt: own",
    "exit": "SystemExit: 3",
    "generator exit": "GeneratorExit: own",
    "cancelled": "CancelledError: the agent cancelled itself.",
    "cancels itself": "CancelledError: the agent cancelled itself.",
    "cancels all": "CancelledError: the agent cancelled itself.",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "unspeakable": "Unspeakable: (its message cannot be shown)",
    "unavailable": "Unavailable: A model is away.",
    "exit in a task": "SystemExit: 3",
    "interrupt in a task": "KeyboardInterrupt: ",
    "panic in a task": "Panic: deep",
    "mute refusal": "Mute: ",
    "nameless": "Nameless: ",
}
"""How the cause begins, where it is not only told that there is one."""


@pytest.fixture(scope="module")
def loop() -> Iterator[AgentLoop]:
    """As in the worker: all agents' code on one loop, which must outlive each of them."""
    died: list[str] = []
    agents = AgentLoop(on_stall=lambda _agent: died.append("the agents' loop ended"))
    agents.start()
    asyncio.run(agents.run_on_agents_thread(_first_stream))
    yield agents
    agents.stop()
    assert not died


async def _first_stream() -> None:
    """libuv keeps a descriptor for each loop from its first stream on."""
    one, other = socket.socketpair()
    with other:
        _, writer = await asyncio.open_connection(sock=one)
        writer.close()
        await writer.wait_closed()


async def called(host: AgentHost, method: str) -> Any:
    match method:
        case "plan":
            return await host.plan()
        case "revise":
            return await host.revise(PLAN, FEEDBACK)
        case "execute":
            await host.open(PLAN, None)
            return [await host.next_step() for _ in range(3)]
        case _:
            return await host.report(PLAN, None)


async def answer(loop: AgentLoop, kind: str, agent: Any, method: str, **options: Any) -> Any:
    """What the host answers or raises, in time."""

    async def drive() -> Any:
        async with opened(kind, agent, **options) as host, asyncio.timeout(SECONDS):
            try:
                return await called(host, method)
            except (AgentError, AgentDied) as error:
                return error

    return await asyncio.wait_for(loop.run_on_agents_thread(drive), SECONDS + 5)


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_what_is_raised_is_the_agents_failure(
    kind: str, method: str, what: str, loop: AgentLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    error = await answer(loop, kind, Hostile, method, what=what, where=method)
    assert isinstance(error, AgentError), error
    assert error.detail.startswith(SAYS.get(what, "")) and 0 < len(error.detail) <= 2000
    assert isinstance(error.remedy, str | None) and len(error.remedy or "") <= 2000 and "\0" not in (error.remedy or "")
    if not isinstance(error, AgentRefused):
        assert "hostile_agents.py" in caplog.text and "Traceback" in caplog.text
        assert "Hostile of task" in caplog.text


@pytest.mark.parametrize("what", ["object", "attributes"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_what_is_returned_is_looked_at_with_care(kind: str, method: str, what: str, loop: AgentLoop) -> None:
    error = await answer(loop, kind, Hostile, method, what=what, where=method)
    assert isinstance(error, AgentError), error
    assert isinstance(error, AgentRefused) == (what == "object")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_what_is_raised_at_once(kind: str, method: str, loop: AgentLoop) -> None:
    error = await answer(loop, kind, AtOnce, method)
    assert isinstance(error, AgentError) and error.detail == "Panic: when made"


@pytest.mark.parametrize("method", ["plan", "execute"])
@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_an_agent_may_cancel_itself_without_saying_so(kind: str, method: str, loop: AgentLoop) -> None:
    error = await answer(loop, kind, SelfCancelling, method)
    assert isinstance(error, AgentError) and "cancelled itself" in error.detail


@pytest.mark.parametrize("kind", ["worker", "process"])
async def test_what_is_raised_at_the_end_harms_nobody(kind: str, loop: AgentLoop) -> None:
    async def close_after_one() -> Step | None:
        async with opened(kind, BadEnd) as host:
            await host.open(PLAN, None)
            return await host.next_step()

    assert await loop.run_on_agents_thread(close_after_one) == Step(1)
    assert [step and step.progress for step in await answer(loop, kind, Sample, "execute", n=2)] == [1, 2, None]


@pytest.mark.parametrize("what", APART)
@pytest.mark.parametrize("method", METHODS)
async def test_what_an_agent_does_to_its_process(
    method: str, what: str, loop: AgentLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    error = await answer(loop, "process", Hostile, method, what=what, where=method)
    assert isinstance(error, AgentError) and error.detail.startswith(("KeyboardInterrupt", "Panic: in the dark"))
    assert "hostile_agents.py" in caplog.text and "Traceback" in caplog.text


async def test_a_copy_of_the_agent_does_not_speak_for_it(loop: AgentLoop) -> None:
    steps = await answer(loop, "process", Forking, "execute")
    assert not isinstance(steps, Exception), steps
    assert len({step.checkpoint["pid"] for step in steps}) == 1


@pytest.mark.parametrize(
    "line",
    [
        '{"op": "done", "id": 1, "value": 5}',
        '{"op": "done", "id": 1, "value": {"summary": "x", "steps": [[1, 2, 3]]}}',
        '{"op": "done", "id": 1}',
        '{"op": "done", "id": 1, "error": 5}',
        '{"op": "done", "id": 1, "error": {"kind": "AgentError", "detail": {}, "field": 5, "remedy": []}}',
        '{"op": "search", "id": 1}',
        '{"op": "search", "id": 1, "query": "q", "limit": "many"}',
        '{"no": "op"}',
        "[" * 100_000,
        "5",
    ],
)
async def test_an_answer_in_a_form_of_its_own_is_a_failure(line: str, loop: AgentLoop) -> None:
    error = await answer(loop, "process", Liar, "plan", line=line)
    assert isinstance(error, AgentError | AgentDied), error
    assert isinstance(error.detail, str) and isinstance(error.remedy, str | None)


@pytest.mark.parametrize("what", ["events", "steps", "type", "member"])
async def test_what_is_not_what_it_says_is_refused(what: str, loop: AgentLoop) -> None:
    """In the worker's own process, where an end without an end would take everybody's memory."""
    method = "plan" if what == "steps" else "execute"
    error = await answer(loop, "worker", Untrue, method, what=what)
    if what == "events":  # as many as it says at most are read
        assert not isinstance(error, Exception) and len(error[0].events) == 1000
    else:
        assert isinstance(error, AgentRefused), error
