"""Properties of attempts whose worker dies: jobs are held at drawn places, and the process is killed with SIGKILL.

One death is told of by as many jobs as an example has, for a worker takes seconds to start.
"""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import strategies as st

from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs.workflow import CodingJob
from pavo.protocol.fleet_pb2 import Result
from tests.drawing import EXAMPLES, examples
from tests.driving import until
from tests.jobs.attempt.at_work import AtWork
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import USUAL, kinds, verified

pytestmark = pytest.mark.fault
DEATHS = max(1, EXAMPLES // 4)
KINDS = (c.START_EXECUTION, c.RUN_VERIFICATION, c.CREATE_PULL_REQUEST)
Place = tuple[str, int]
"""A kind of command, and the rounds of verification that fail before."""
PLACES = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2)), min_size=2, max_size=5)


class Held:
    """The agent's way with every command: each job is held at its place until all may go on."""

    def __init__(self, at: dict[str, Place]) -> None:
        self.at, self.go, self.reached = at, asyncio.Event(), set[str]()

    async def __call__(self, request: c.RunCommand) -> Result:
        kind, failing = self.at[request.job_id]
        if request.kind == kind and (request.round == failing or kind == c.CREATE_PULL_REQUEST):
            self.reached.add(request.job_id)
            await self.go.wait()
        if request.kind == c.RUN_VERIFICATION and request.round < failing:
            return verified("tests")
        return USUAL[request.kind]


@asynccontextmanager
async def held_jobs(given: Given, places: Sequence[Place]) -> Any:
    """Jobs that have reached their places, each with the handle of its workflow, and what holds them there."""
    jobs = [await given.job(rounds=2) for _ in places]
    held = Held({str(job): place for job, place in zip(jobs, places, strict=True)})
    given.agent.asked.clear()
    given.agent.script.clear()
    for kind in (*KINDS, c.CLEANUP):
        given.agent.will(kind, *[held] * (4 * len(jobs)))
    handles = {job: await given.start(job) for job in jobs}
    await until(lambda: _all_there(held, len(jobs)), what="that every job is at its place")
    yield handles, held
    held.go.set()
    await asyncio.gather(*(handle.result() for handle in handles.values()))


async def _all_there(held: Held, count: int) -> bool:
    return len(held.reached) == count


async def killed(at_work: AtWork) -> None:
    """The worker dies, and another one comes."""
    at_work.worker.kill()
    await asyncio.to_thread(at_work.worker.process.wait, 30)
    await at_work.start()


async def test_survival_of_a_workers_restart(given: Given, at_work: AtWork) -> None:
    """Every job goes on where it was and ends well; no command was begun twice, none was left out."""

    async def check(places: Sequence[Place]) -> None:
        async with held_jobs(given, places) as (handles, held):
            await killed(at_work)
            held.go.set()
            for (job, handle), (_, failing) in zip(handles.items(), places, strict=True):
                assert await handle.result() == d.DONE
                mine = [each for each in given.agent.asked if each.job_id == str(job)]
                walk = [c.START_EXECUTION, c.RUN_VERIFICATION] * (failing + 1)
                assert kinds(mine) == [*walk, c.CREATE_PULL_REQUEST, c.CLEANUP]
                assert {given.agent.carried_out[each.command_id] for each in mine} == {1}
                row = await given.row(job)
                assert (row.stage, row.epoch, row.attempts) == (d.DONE, 1, 1)

    await examples(PLACES, check, most=DEATHS)


async def test_state_after_restart_equal(given: Given, at_work: AtWork) -> None:
    """What the workflow knows and what the row says are after the restart what they were before."""

    async def states(handles: dict[Any, Any]) -> list[Any]:
        found = []
        for job, handle in handles.items():
            row = await given.row(job)
            told = [(each.seq, each.type, each.data) for each in await given.events(job)]
            columns = {each.key: getattr(row, each.key) for each in type(row).__mapper__.column_attrs}
            found.append((await handle.query(CodingJob.job_state), columns, told))
        return found

    async def check(places: Sequence[Place]) -> None:
        async with held_jobs(given, places) as (handles, _):
            before = await states(handles)
            await killed(at_work)
            assert await states(handles) == before

    await examples(PLACES, check, most=DEATHS)
