"""An agent that leaves because it is told to end has neither done its task nor failed it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.driving import Tasks, ticks, types, until
from tests.parts import Parts
from tests.tasks.leaving_agents import install
from tests.tasks.own_stack import Own, on_path, own_stack

AGENTS = ["leaving", "leaving_apart"]
LEFT = [("execute", "return"), ("execute", "raise"), ("report", "return"), ("plan", "half")]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    async with own_stack(parts, "leaving", {"PYTHONPATH": on_path(folder)}) as stack:
        yield stack


async def waiting(tasks: Tasks, agent: str, where: str, how: str, folder: Path) -> str:
    """A task whose agent waits to be told."""
    mark = folder / "mark"
    options = {"where": where, "how": how, "mark": str(mark)}
    path = await tasks.started(options, agent_type=agent, auto_accept=True)

    async def waits() -> bool:
        return mark.exists()

    await until(waits, what="the agent to wait")
    return path


async def check_done(tasks: Tasks, path: str) -> list[dict[str, Any]]:
    """It ended with all its steps and its whole report, once each."""
    await tasks.wait(path, "DONE")
    events = await tasks.events(path)
    assert ticks(events) == [1, 2, 3] and types(events).count("report") == 1
    plan, report = await tasks.documents(path)
    assert "Leave." in plan["body"] and report["body"] == "Whole."
    assert not {"retry", "failed", "recovered"} & set(types(events))
    return events


@pytest.mark.parametrize("how", ["return", "raise", "refuse", "garbage", "exit"])
@pytest.mark.parametrize("agent", AGENTS)
async def test_a_step_that_leaves_is_stopped(own: Own, agent: str, how: str, tmp_path: Path) -> None:
    path = await waiting(own.tasks, agent, "execute", how, tmp_path)
    receipt = await own.tasks.post(f"{path}/stop")
    assert (receipt["stage"], receipt["last_step"], receipt["step_cut"]) == ("EXECUTING", 1, True)
    task = await own.tasks.get(path)
    assert task["stage"] == "STOPPED" and not task["error"]
    await own.tasks.post(f"{path}/resume")
    await check_done(own.tasks, path)


@pytest.mark.parametrize("how", ["return", "raise"])
@pytest.mark.parametrize("agent", AGENTS)
async def test_a_report_that_leaves_is_stopped(own: Own, agent: str, how: str, tmp_path: Path) -> None:
    path = await waiting(own.tasks, agent, "report", how, tmp_path)
    receipt = await own.tasks.post(f"{path}/stop")
    assert (receipt["stage"], receipt["last_step"], receipt["step_cut"]) == ("EXECUTING", 3, False)
    task = await own.tasks.get(path)
    assert task["stage"] == "STOPPED" and not task["error"]
    await own.tasks.post(f"{path}/resume")
    await check_done(own.tasks, path)


@pytest.mark.parametrize("how", ["return", "raise", "half"])
@pytest.mark.parametrize("agent", AGENTS)
async def test_a_plan_that_leaves_is_stopped(own: Own, agent: str, how: str, tmp_path: Path) -> None:
    path = await waiting(own.tasks, agent, "plan", how, tmp_path)
    assert (await own.tasks.post(f"{path}/stop"))["stage"] == "PLANNING"
    task = await own.tasks.get(path)
    assert task["stage"] == "STOPPED" and not task["error"]
    await own.tasks.post(f"{path}/resume")
    await check_done(own.tasks, path)


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_panic_in_the_report_is_told(own: Own, agent: str, tmp_path: Path) -> None:
    path = await waiting(own.tasks, agent, "report", "panic", tmp_path)

    async def told() -> bool:
        return "retry" in types(await own.tasks.events(path))

    await until(told, what="the failure")
    retry = next(event for event in await own.tasks.events(path) if event["type"] == "retry")
    assert "Panic: of its own" in str(retry)
    await own.tasks.post(f"{path}/stop")


@pytest.mark.parametrize(("where", "how"), LEFT)
async def test_what_leaves_with_its_worker_goes_on_elsewhere(own: Own, where: str, how: str, tmp_path: Path) -> None:
    path = await waiting(own.tasks, "leaving", where, how, tmp_path)
    leaving, own.worker = own.worker, await own.parts.start("worker", **own.environment)
    leaving.end()
    await check_done(own.tasks, path)
