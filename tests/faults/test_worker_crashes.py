"""Agents inside of a worker that end it: they are quarantined, in planning too, and their neighbours finish."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pavo.deploy.model.layout import Layout
from pavo.runs.worker_ends import read_ends
from tests.faults.drive import Driver
from tests.faults.stack import Stack, running_stack, until
from tests.memory_groups import memory_group
from tests.tasks.blamed_agents import install

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
FATES = [
    ("blamed", "plan", "exit", "exit code 7", "Planning"),
    ("blamed", "execute", "segfault", "signal SIGSEGV", "Checkpoint 2"),
    ("blamed", "revise", "abort", "signal SIGABRT", "Planning"),
    ("blamed-quick", "plan", "exit", "exit code 7", "Planning"),
    ("blamed-quick", "execute", "segfault", "signal SIGSEGV", "Checkpoint 2"),
]
"""Which agent does what and where, how its end is called, and what is quarantined for it."""


@pytest.fixture(scope="module")
async def crashing() -> AsyncIterator[Stack]:
    async with running_stack(prepare=lambda folder: install(folder / "plugins")) as stack:
        yield stack


async def begin(
    driver: Driver, where: str, harm: str, hold: Path | None = None, agent: str = "blamed", group: str = ""
) -> str:
    options = {"where": where, "harm": harm, "hold": str(hold or ""), "group": group}
    task = await driver.create(0, agent=agent, options=options, auto_accept=where != "revise")
    await driver.start(task)
    return task


async def have_revised(driver: Driver, task: str) -> None:
    view = await driver.stage(task, "WAIT_RFC")
    path = f"/api/tasks/{task}"
    await driver.ok("POST", f"{path}/documents/{view['plan']['document_id']}/feedback", json={"body": "Why?"})
    await driver.ok("POST", f"{path}/plan/done-reviewing", json={"hash": view["plan"]["hash"]})


@pytest.mark.parametrize(("agent", "where", "harm", "end", "what"), FATES)
async def test_who_ends_its_worker_is_quarantined_and_nobody_else(
    crashing: Stack, agent: str, where: str, harm: str, end: str, what: str, tmp_path: Path
) -> None:
    """Planning restarted its worker 18 times in 90 s, and a neighbour in a long step was quarantined."""
    await crashing.ready()
    restarts = crashing.workers[0].state.restarts
    hold = tmp_path / "hold"
    hold.touch()
    async with Driver(crashing) as driver:
        neighbour = await begin(driver, "execute", "", hold)
        await driver.wait(neighbour, lambda view: view["steps"] == 1, "the neighbour's long step")
        rogue = await begin(driver, where, harm, agent=agent)
        if where == "revise":
            await have_revised(driver, rogue)

        async def judged() -> bool:
            """The rogue is, or it waits until its neighbour, who is under suspicion too, has got further."""
            view: dict[str, Any] = await driver.ok("GET", f"/api/tasks/{rogue}")
            return view["stage"] == "FAILED" or view["stage_status"].startswith("WAITING:its turn")

        await until(judged, 120, "a judgement")
        hold.unlink()
        view = await driver.stage(rogue, "FAILED", seconds=120)
        assert view["error"]["type"] == "Quarantined" and view["error"]["cause"].startswith(f"{what} is quarantined")
        assert end in view["error"]["cause"] and "then resume" in view["error"]["remedy"]
        await driver.stage(neighbour, "DONE", seconds=120)
        assert crashing.workers[0].state.restarts - restarts <= 4
        await driver.ok("POST", f"/api/tasks/{rogue}/stop")


@pytest.mark.parametrize(("where", "harm", "code"), [("step", "exit", 7), ("crawl", "leave", 0)])
async def test_who_ends_its_worker_after_each_step_is_found(
    crashing: Stack, tmp_path: Path, where: str, harm: str, code: int
) -> None:
    """Its deaths are forgotten with each step: workers ended for ever, and a neighbour in a long step was quarantined,
    at once, for what it did."""
    await crashing.ready()
    hold = tmp_path / "hold"
    hold.touch()
    async with Driver(crashing) as driver:
        neighbour = await begin(driver, "execute", "", hold)
        await driver.wait(neighbour, lambda view: view["steps"] == 1, "the neighbour's long step")
        rogue = await begin(driver, where, harm)

        async def judged() -> bool:
            """The rogue is, or it waits until its neighbour, who is under suspicion too, has got further."""
            view: dict[str, Any] = await driver.ok("GET", f"/api/tasks/{rogue}")
            return view["stage"] == "FAILED" or view["stage_status"].startswith("WAITING:its turn: workers died")

        await until(judged, 120, "a judgement")
        hold.unlink()
        view = await driver.stage(rogue, "FAILED", seconds=120)
        assert view["error"]["type"] == "Quarantined"
        assert f"exit code {code}, with no other agent in its worker" in view["error"]["cause"]
        await driver.stage(neighbour, "DONE", seconds=120)


async def test_a_worker_that_kills_itself_counts_against_nobody(crashing: Stack, tmp_path: Path) -> None:
    """SIGKILL, which a kernel without memory sends as well, says nothing about who ran inside."""
    await crashing.ready()
    async with Driver(crashing) as driver:
        task = await begin(driver, "execute", "kill")

        async def recovered() -> bool:
            events = await driver.events(task)
            return [event["type"] for event in events].count("recovered") >= 5

        await until(recovered, 200, "five lost workers")
        rows = await crashing.sql(f"SELECT deaths FROM executions WHERE task_id = '{task}'")
        assert rows == [(0,)]
        await driver.call("POST", f"/api/tasks/{task}/stop")
        await driver.stage(task, "STOPPED")


async def test_a_worker_that_the_kernel_kills_for_memory_counts_against_nobody(crashing: Stack) -> None:
    """Its supervisor knows why it ended; and when there is enough, the task goes on."""
    await crashing.ready()
    group = memory_group(64)
    if group is None:
        pytest.skip("This process may make no memory groups (cgroups).")
    try:
        async with Driver(crashing) as driver:
            task = await begin(driver, "execute", "memory", group=str(group.folder))

            async def recovered() -> bool:
                events = await driver.events(task)
                return [event["type"] for event in events].count("recovered") >= 4

            await until(recovered, 200, "four lost workers")
            await driver.call("POST", f"/api/tasks/{task}/stop")
            await driver.stage(task, "STOPPED")
            assert group.kills >= 4
            rows = await crashing.sql(f"SELECT deaths FROM executions WHERE task_id = '{task}'")
            assert rows == [(0,)]
            ends = [end for end in read_ends(Layout(crashing.data).worker_ends) if end.out_of_memory]
            assert len(ends) >= 4 and {end.words for end in ends} == {"was killed for lack of memory"}
    finally:
        await crashing.ready()
        await group.remove()
