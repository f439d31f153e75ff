"""One attempt is one call of `execute`: whatever Pavo does around it, an agent sees no end that is not its own."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client

from pavo.kit.json_values import fingerprint
from pavo.kit.sql import Database
from tests.driving import Tasks, ticks, types, until
from tests.parts import Parts
from tests.tasks.own_stack import Own, on_path, own_stack
from tests.tasks.sparing_agents import install

AGENTS = ["sparing", "sparing_apart"]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    async with own_stack(parts, "attempts", {"PYTHONPATH": on_path(folder)}) as stack:
        yield stack


def begun(calls: Path) -> list[str]:
    """The lines that tell of a beginning."""
    return [line for line in calls.read_text().splitlines() if line.startswith("begin")] if calls.exists() else []


async def progress(tasks: Tasks, path: str) -> list[int]:
    """What the `progress` events of a task told."""
    return [event["steps"] for event in await tasks.events(path) if event["type"] == "progress"]


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_checkpoint_may_say_more_after_sixty_steps_only(
    own: Own, temporal: Client, agent: str, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    options = {"calls": str(calls), "groups": 2}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True)
    task = await own.tasks.wait(path, "DONE")
    assert len(begun(calls)) == 1
    assert ticks(await own.tasks.events(path)) == list(range(1, 121))
    assert await progress(own.tasks, path) == [50, 100, 120]
    assert "retry" not in types(await own.tasks.events(path))
    history = await temporal.get_workflow_handle(task["workflow_id"]).fetch_history()
    assert len(history.events) < 15


TURN = 1.0
"""Seconds that a task keeps its slot here while others wait."""


@pytest_asyncio.fixture
async def narrow(own: Own) -> AsyncIterator[Own]:
    """A worker with two slots and short turns."""
    environment = {**own.environment, "PAVO_WORKER_TASKS": "2", "PAVO_TURN_SECONDS": str(TURN)}
    async with own_stack(own.parts, "narrow", environment) as stack:
        yield stack


@pytest.mark.parametrize("agent", AGENTS)
async def test_four_tasks_share_two_slots(narrow: Own, temporal: Client, agent: str, tmp_path: Path) -> None:
    tasks, small, groups = narrow.tasks, 5, 400
    paths = []
    for number in range(4):
        options = {"calls": str(tmp_path / str(number)), "groups": groups, "small": small, "seconds": 0.02}
        paths.append(await tasks.started(options, agent_type=agent, auto_accept=True))

    async def all_advance_twice() -> bool:
        counts = [(await tasks.get(path))["steps"] for path in paths]
        assert max(counts) < groups * small, "one of them ended before all had a turn"
        return min(counts) > 55  # one turn of a second does not suffice for so many

    await until(all_advance_twice)
    calls = [tmp_path / str(number) for number in range(4)]
    taken_over = [max(lost_leases(narrow, path), await unheard(narrow, temporal, path)) for path in paths]
    assert [len(begun(each)) <= 1 + lost for each, lost in zip(calls, taken_over, strict=True)] == [True] * 4, (
        f"the agents were kept open from turn to turn: {[begun(each) for each in calls]}, {taken_over}"
    )
    for path in paths:
        found = await tasks.events(path)
        assert ticks(found) == list(range(1, len(ticks(found)) + 1))
        assert not {"retry", "recovered"} & set(types(found))
        # A turn ends where the checkpoint says more than before: after the first step, and at the end of a group.
        assert {steps % small for steps in await progress(tasks, path)} <= {0, 1}
    # Two of them are parked. What is stopped is closed, and begins anew where it was.
    for path in paths:
        await tasks.post(f"{path}/stop")
    await until(lambda: all_ended(calls), what="all agents to be closed")
    await tasks.post(f"{paths[0]}/resume")

    async def again() -> bool:
        return len(begun(calls[0])) == 2

    await until(again)
    await tasks.post(f"{paths[0]}/stop")


def lost_leases(own: Own, task_id: str) -> int:
    """How many attempts another one of the same worker took over from while they were at it."""
    return len(set(re.findall(rf"Epoch (\d+) of task {task_id} is over", own.worker.log.read_text())))


async def unheard(own: Own, temporal: Client, task_id: str) -> int:
    """How many attempts Temporal gave up, for it had heard no heartbeat of them for a second, as may be on a machine
    with much else to do. Such a one may still end in order, before another has begun; its agent is not kept then."""
    handle = temporal.get_workflow_handle((await own.tasks.get(task_id))["workflow_id"])
    pending = (await handle.describe()).raw_description.pending_activities
    tries = [each.attempt for each in pending]
    for event in (await handle.fetch_history()).events:
        if event.HasField("activity_task_started_event_attributes"):
            tries.append(event.activity_task_started_event_attributes.attempt)
    return sum(each - 1 for each in tries)


async def all_ended(calls: list[Path]) -> bool:
    """Whether each call of `execute` was closed in order."""
    return all(each.read_text().count("begin") == each.read_text().count("end") for each in calls)


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_worker_that_shuts_down_closes_what_is_parked(narrow: Own, agent: str, tmp_path: Path) -> None:
    tasks, calls = narrow.tasks, [tmp_path / str(number) for number in range(4)]
    paths = [
        await tasks.started(
            {"calls": str(each), "groups": 4000, "small": 1, "seconds": 0.02}, agent_type=agent, auto_accept=True
        )
        for each in calls
    ]

    async def all_began() -> bool:
        return all(begun(each) for each in calls)

    await until(all_began)
    narrow.worker.end()
    assert await all_ended(calls)
    narrow.worker = await narrow.parts.start("worker", **narrow.environment)

    async def go_on() -> bool:
        return all(len(begun(each)) == 2 for each in calls)

    await until(go_on)
    for path in paths:
        found = await tasks.events(path)
        assert ticks(found) == list(range(1, len(ticks(found)) + 1))
        assert not {"retry", "recovered"} & set(types(found))
        await tasks.post(f"{path}/stop")


async def test_an_agent_that_makes_no_progress_is_told_of_and_given_up(own: Own, tmp_path: Path) -> None:
    """It records a step each time, so that no step is tried five times; its process dies in the next one."""
    calls = tmp_path / "calls"
    options = {"calls": str(calls), "groups": 2, "die_after": 1}
    path = await own.tasks.started(options, agent_type="sparing_apart", auto_accept=True)
    task = await own.tasks.wait(path, "FAILED")
    assert task["error"]["type"] == "NoProgress" and "exit code 3" in task["error"]["cause"]
    assert "checkpoint" in task["error"]["remedy"]
    found = await own.tasks.events(path)
    warned = [event for event in found if event["type"] == "no_progress"]
    assert [event["beginnings"] for event in warned] == [10, 20]
    assert all("exit code 3" in event["cause"] for event in warned)
    # The first call begins without a checkpoint, and ends with one; thirty ended there.
    assert len(begun(calls)) == 30
    assert "makes no progress" in own.worker.log.read_text()


@pytest.mark.fault
@pytest.mark.parametrize("agent", AGENTS)
async def test_only_ends_of_its_own_count_as_beginnings(
    own: Own, database: Database, temporal: Client, agent: str, tmp_path: Path
) -> None:
    """One more would fail it: a killed worker, one that shuts down, a rollout and an answer are none."""
    calls, told = tmp_path / "calls", tmp_path / "told"
    options = {"calls": str(calls), "groups": 1, "small": 100_000, "seconds": 0.01, "told": str(told)}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True)
    await goes_on(own, path, calls, 1)
    values = {"id": path, "at": fingerprint({"groups": 0, "of": 1})}
    async with database.autocommit() as connection:
        near = text("UPDATE executions SET begun_at = :at, beginnings = 29 WHERE task_id = :id")
        await connection.execute(near, values)

    async def replaced(how: int) -> None:
        own.worker.kill(how)
        await asyncio.to_thread(own.worker.process.wait, 30)
        own.worker = await own.parts.start("worker", **own.environment)

    async def asked() -> None:
        told.write_text("ask")
        answer: dict[str, Any] = {}

        async def opened() -> bool:
            found = await own.tasks.client.get("/api/gates", params={"task_id": path, "state": "open"})
            answer["gates"] = found.json()["items"]
            return bool(answer["gates"])

        await until(opened, what="the question")
        [gate] = answer["gates"]
        told.unlink()
        body = {"hash": gate["hash"], "answer": "yes"}
        sent = await own.tasks.client.post(f"/api/gates/{gate['id']}/answer", json=body)
        assert sent.status_code == 200, sent.text

    async def moved() -> None:
        workflow = (await own.tasks.get(path))["workflow_id"]
        await temporal.get_workflow_handle(workflow).signal("move_on")

    for what in (partial(replaced, signal.SIGKILL), partial(replaced, signal.SIGTERM), moved, asked):
        before = len(begun(calls))
        await what()
        await goes_on(own, path, calls, before + 1)
        async with database.autocommit() as connection:
            query = text("SELECT begun_at, beginnings FROM executions WHERE task_id = :id")
            found = (await connection.execute(query, values)).one()
        assert tuple(found) == (values["at"], 29), what
    assert not {"no_progress", "failed"} & set(types(await own.tasks.events(path)))
    told.write_text("raise")
    error = (await own.tasks.wait(path, "FAILED"))["error"]
    assert error["type"] == "NoProgress" and "ended 30 times" in error["cause"]


async def goes_on(own: Own, path: str, calls: Path, times: int) -> None:
    """`execute` has begun so often, and steps are recorded since."""
    before: list[int] = []

    async def recorded() -> bool:
        if len(begun(calls)) >= times:
            before.append((await own.tasks.get(path))["steps"])
        return len(before) > 0 and before[-1] > before[0]

    await until(recorded, what=f"steps after beginning {times}")
