"""Quick agents, whose first stretch is carried out inside a workflow task: whatever comes at whichever moment of it."""

import asyncio
import signal as signals
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import RPCError

from tests.faults.drive import Driver
from tests.faults.rogues import install
from tests.faults.stack import Part, Stack, running_stack

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
STEPS, SECONDS = 20, 0.05
MOMENTS = [number / 10 for number in range(12)]
"""Seconds after the start: planning, the stretch, and the activity that goes on after it."""


@pytest.fixture(scope="module")
async def quick_stack() -> AsyncIterator[Stack]:
    async with running_stack(workers=2, prepare=install) as stack:
        yield stack


@dataclass(frozen=True)
class Quick:
    """A quick task, and what its agent was called for."""

    id: str
    workflow_id: str
    log: Path

    def calls(self) -> Counter[str]:
        return Counter(self.log.read_text().split())


async def started(driver: Driver, folder: Path) -> Quick:
    log = folder / f"calls-{len(list(folder.iterdir()))}"
    log.touch()
    task = await driver.create(0, agent="quick", options={"steps": STEPS, "seconds": SECONDS, "log": str(log)})
    workflow_id = (await driver.start(task))["workflow_id"]
    return Quick(task, workflow_id, log)


async def nothing_twice(driver: Driver, task: Quick, *, begun: int = 2) -> None:
    """DONE, each checkpoint recorded and worked once, planned once; `execute` begun at most so often."""
    await driver.verify([task.id], STEPS)
    calls = task.calls()
    assert calls.pop("execute") <= begun
    assert set(calls.values()) == {1}, calls


async def test_the_stretch_is_part_of_a_workflow_task(quick_stack: Stack, tmp_path: Path) -> None:
    temporal = await Client.connect(quick_stack.temporal_address)
    async with Driver(quick_stack) as driver:
        task = await started(driver, tmp_path)
        await nothing_twice(driver, task)
        kinds: list[int] = []
        async for event in temporal.get_workflow_handle(task.workflow_id).fetch_history_events():
            kinds.append(event.event_type)
        assert EventType.EVENT_TYPE_MARKER_RECORDED in kinds
        assert len(kinds) < 20, kinds
        # The stretch has an end: what is left goes on as an activity.
        assert kinds.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) == 1, kinds


async def test_a_stop_at_any_moment(quick_stack: Stack, tmp_path: Path) -> None:
    async with Driver(quick_stack) as driver:
        waits: list[float] = []
        for moment in MOMENTS:
            task = await started(driver, tmp_path)
            await asyncio.sleep(moment)  # the moment is what varies
            clicked = time.monotonic()
            answer = await driver.stop(task.id)
            waits.append(time.monotonic() - clicked)
            assert answer.status_code == 200, answer.text
            view = await driver.stage(task.id, "STOPPED", "DONE")
            if view["stage"] == "STOPPED":
                assert answer.json()["last_step"] == view["steps"]
                await driver.resume(task.id)
            await driver.verify([task.id], STEPS)
            # A step that was cut is worked again; nothing that was recorded is.
            repeated = {call: count for call, count in task.calls().items() if count > 1}
            assert sum(1 for call in repeated if call.startswith("step")) <= 1, repeated
        print("stop answered after ms", [round(wait * 1000) for wait in waits])
        # 300 ms on an idle machine; without the hint it would be the stretch's end and a workflow task.
        assert sorted(waits)[len(waits) // 2] < 1.0, waits


async def test_a_stop_while_its_worker_is_frozen(quick_stack: Stack, tmp_path: Path) -> None:
    """Another worker gets the run and the stop, and no record of what the first has written."""
    async with Driver(quick_stack) as driver:
        task = await started(driver, tmp_path)
        await driver.wait(task.id, lambda view: view["steps"] > 2, "checkpoints")
        part = await holder_of(quick_stack, task)
        assert part is not None
        part.send(signals.SIGSTOP)
        try:
            answer = await driver.stop(task.id)
            assert answer.status_code == 200, answer.text
            view = await driver.stage(task.id, "STOPPED")
            assert answer.json()["last_step"] == view["steps"] > 2
        finally:
            part.send(signals.SIGCONT)
        await driver.resume(task.id)
        await driver.verify([task.id], STEPS)


async def holder_of(stack: Stack, task: Quick) -> Part | None:
    holder = (await stack.sql(f"SELECT holder FROM executions WHERE task_id = '{task.id}'"))[0][0]
    return next((part for part in stack.workers if f":{part.pid}:" in f"{holder}:"), None)


@pytest.mark.parametrize("signal", ["signal_accept_rfc", "move_on"])
async def test_a_signal_at_any_moment(quick_stack: Stack, tmp_path: Path, signal: str) -> None:
    temporal = await Client.connect(quick_stack.temporal_address)

    async def send(task: Quick) -> None:
        try:
            await temporal.get_workflow_handle(task.workflow_id).signal(signal)
        except RPCError as error:
            assert "completed" in str(error)

    await at_each_moment(quick_stack, tmp_path, send, begun=3)


async def test_an_update_at_any_moment(quick_stack: Stack, tmp_path: Path) -> None:
    async with Driver(quick_stack) as driver:

        async def resume(task: Quick) -> None:
            answer = await driver.call("POST", f"/api/tasks/{task.id}/resume")
            assert answer.status_code in (200, 409), answer.text

        await at_each_moment(quick_stack, tmp_path, resume)


async def at_each_moment(
    stack: Stack, folder: Path, act: Callable[[Quick], Awaitable[None]], *, begun: int = 2
) -> None:
    async with Driver(stack) as driver:
        for moment in MOMENTS:
            task = await started(driver, folder)
            await asyncio.sleep(moment)  # the moment is what varies
            await act(task)
            await nothing_twice(driver, task, begun=begun)


async def test_a_death_at_any_moment(quick_stack: Stack, tmp_path: Path) -> None:
    async with Driver(quick_stack) as driver:
        pauses: list[float] = []
        for moment in MOMENTS[:8]:
            task = await started(driver, tmp_path)
            await asyncio.sleep(moment)  # the moment is what varies
            steps = (await driver.get(task.id))["steps"]
            victim = await holder_of(quick_stack, task)
            if victim is None:
                continue  # between two attempts
            died = time.monotonic()
            await quick_stack.kill(victim.name)
            await driver.wait(task.id, lambda view, n=steps: view["steps"] > n or view["stage"] == "DONE", "a step")
            pauses.append(time.monotonic() - died)
            await driver.verify([task.id], STEPS)
            calls = task.calls()
            # In flight at the death: that step, or the report.
            assert sum(count - 1 for call, count in calls.items() if call != "execute") <= 1, calls
            await quick_stack.ready()
        print("a step again after ms", [round(pause * 1000) for pause in pauses])
        assert len(pauses) >= 4, "too few attempts were met"
        # 1.2 s on an idle machine: the time-out of workflow tasks, or of heartbeats. A minute would be a forgotten one.
        assert sorted(pauses)[len(pauses) // 2] < 5 and max(pauses) < 20, pauses
