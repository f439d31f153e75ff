"""The order of a queue, who may change it, and why a job waits."""

import asyncio
import random
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.errors import InvalidInput, NotFound, WrongStage
from pavo.jobs import domain as d
from pavo.jobs.queue.reasons import Place, QueueState, reason_of
from pavo.jobs.queue.service import QueueService
from pavo.jobs.sql import queue as sql
from tests.jobs.queue.queueing import Queueing


class Silent:
    """In the place of what tells monitors: keeps whom it was asked to tell."""

    def __init__(self) -> None:
        self.told: list[uuid.UUID | None] = []

    async def look(self, organisation_id: uuid.UUID | None) -> None:
        self.told.append(organisation_id)

    def publish(self, events: Any) -> None:
        """Nobody watches."""


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture
def service(queueing: Queueing, silent: Silent) -> QueueService:
    return QueueService(queueing.database, silent, silent)  # pyright: ignore[reportArgumentType]


async def order(service: QueueService, org: uuid.UUID) -> list[uuid.UUID]:
    return [each.job.id for each in (await service.show(org, limit=500)).queued]


async def test_a_submitted_job_is_queued_and_its_monitor_told(
    queueing: Queueing, service: QueueService, silent: Silent
) -> None:
    org = await queueing.organisation()
    new = queueing.new(org, priority=70, labels=["gpu"])
    job = await service.submit(new, "ada@example.com")
    row = await queueing.row(job)
    assert (row.stage, row.priority, row.labels, row.branch) == (d.QUEUED, 70, ["gpu"], d.branch_of(job))
    assert abs(row.rank - d.rank_of(row.queued_at.timestamp(), 70)) < 1e-3
    assert silent.told == [org]


@pytest.mark.parametrize("position", [1, 2, 4, 5, 99])
async def test_a_job_is_moved_and_the_others_keep_their_order(
    queueing: Queueing, service: QueueService, position: int
) -> None:
    org = await queueing.organisation()
    jobs = [await queueing.job(org) for _ in range(5)]
    moved = await service.move(org, jobs[2], "ada@example.com", position=position)
    others = [job for job in jobs if job != jobs[2]]
    wanted = [*others[: position - 1], jobs[2], *others[position - 1 :]]
    assert await order(service, org) == wanted
    assert moved.position == wanted.index(jobs[2]) + 1
    assert [event.data for event in moved.events] == [{"priority": 50, "by": "ada@example.com"}]


async def test_rework_stays_before_backlog(queueing: Queueing, service: QueueService) -> None:
    org = await queueing.organisation()
    first, last = await queueing.job(org), await queueing.job(org)
    rework = [await queueing.job(org, kind="rework") for _ in range(2)]
    assert (await service.move(org, last, "ada@example.com", position=1)).position == 3
    assert await order(service, org) == [*rework, last, first]
    assert (await service.move(org, rework[0], "ada@example.com", position=4)).position == 2
    assert await order(service, org) == [rework[1], rework[0], last, first]


async def test_jobs_of_one_rank_are_moved_between_too(queueing: Queueing, service: QueueService) -> None:
    """Where there is no number between two, the ranks are spread, and the order stays."""
    org = await queueing.organisation()
    jobs = [await queueing.job(org, rank=5.0) for _ in range(6)]
    await service.move(org, jobs[5], "ada@example.com", position=2)
    assert await order(service, org) == [jobs[0], jobs[5], *jobs[1:5]]
    for _ in range(120):  # halving has no end that anybody notices
        now = await order(service, org)
        await service.move(org, now[-1], "ada@example.com", position=2)
        assert await order(service, org) == [now[0], now[-1], *now[1:-1]]


async def test_a_priority_counts_from_the_beginning(queueing: Queueing, service: QueueService) -> None:
    org = await queueing.organisation()
    jobs = [await queueing.job(org) for _ in range(3)]
    moved = await service.move(org, jobs[2], "ada@example.com", priority=51)
    assert (moved.position, moved.priority) == (1, 51)
    assert await order(service, org) == [jobs[2], jobs[0], jobs[1]]
    await service.move(org, jobs[2], "ada@example.com", priority=50)
    assert await order(service, org) == jobs


async def test_many_move_at_once_while_others_claim(queueing: Queueing, service: QueueService) -> None:
    org = await queueing.organisation(at_once=100)
    await queueing.agent(org, capacity=100)
    jobs = [await queueing.job(org) for _ in range(30)]
    untouched, chance = jobs[10:], random.Random(7)

    async def mover(job: uuid.UUID) -> None:
        for _ in range(6):
            try:
                await service.move(org, job, "ada@example.com", position=chance.randint(1, 30))
            except WrongStage:
                return

    async def claimer() -> None:
        for _ in range(8):
            await queueing.take(org)
            await asyncio.sleep(0.005)

    async with asyncio.timeout(60):
        await asyncio.gather(*(mover(job) for job in jobs[:10]), claimer())
    left = await order(service, org)
    rows = {row.id: row for row in await queueing.rows()}
    assert len(left) == 22 and set(left) == {job for job, row in rows.items() if row.stage == d.QUEUED}
    assert [job for job in left if job in untouched] == [job for job in untouched if job in left]


async def test_bad_moves_change_nothing(queueing: Queueing, service: QueueService) -> None:
    org, other = await queueing.organisation(), await queueing.organisation()
    await queueing.agent(org)
    running, job = await queueing.job(org), await queueing.job(org)
    await queueing.take(org)
    before = await order(service, org)
    wrong: list[tuple[uuid.UUID, uuid.UUID, dict[str, int], type[Exception], str]] = [
        (org, job, {}, InvalidInput, "position"),
        (org, job, {"position": 1, "priority": 1}, InvalidInput, "position"),
        (org, job, {"position": 0}, InvalidInput, "position"),
        (org, job, {"priority": 101}, InvalidInput, "priority"),
        (org, job, {"priority": -1}, InvalidInput, "priority"),
        (org, uuid.uuid4(), {"position": 1}, NotFound, "job_id"),
        (other, job, {"position": 1}, NotFound, "job_id"),
        (org, running, {"position": 1}, WrongStage, "stage"),
    ]
    for whose, moved, how, error, field in wrong:
        with pytest.raises(error) as refused:
            await service.move(whose, moved, "ada@example.com", **how)
        assert refused.value.field == field and refused.value.remedy  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InvalidInput):
        await service.limit(org, 0)
    with pytest.raises(InvalidInput):
        await service.show(org, limit=501)
    assert await order(service, org) == before


async def test_a_queue_is_paused_resumed_and_shown(queueing: Queueing, service: QueueService, silent: Silent) -> None:
    org = await queueing.organisation()
    agent = await queueing.agent(org)
    running, waits = await queueing.job(org), await queueing.job(org)
    await queueing.take(org)
    await service.pause(org, None)
    await service.pause(org, None)
    shown = await service.show(org)
    assert shown.paused_at is not None and shown.at_once == 1
    [at_work] = shown.running
    assert (at_work.id, at_work.stage, at_work.agent_id, at_work.agent) == (running, d.CLAIMED, agent, str(agent))
    [waiting] = shown.queued
    assert (waiting.position, waiting.job.id, waiting.why.code) == (1, waits, "paused")
    assert shown.counts == {stage: int(stage in (d.CLAIMED, d.QUEUED)) for stage in d.STAGES}
    await service.resume(org)
    assert silent.told == [org]
    shown = await service.show(org)
    assert shown.paused_at is None and shown.queued[0].why.code == "at_limit"
    await service.limit(org, 2)
    assert (await service.show(org)).queued[0].why.code == "agents_busy"
    await queueing.agent(None, labels=["other"])
    assert (await service.show(org)).queued[0].why.code == "turn"


async def test_a_page_goes_on_behind_a_position(queueing: Queueing, service: QueueService) -> None:
    org = await queueing.organisation()
    jobs = [await queueing.job(org) for _ in range(5)]
    page = (await service.show(org, after=2, limit=2)).queued
    assert [(each.position, each.job.id) for each in page] == [(3, jobs[2]), (4, jobs[3])]


async def test_a_queue_that_was_never_used(queueing: Queueing, service: QueueService) -> None:
    org = await queueing.organisation()
    await queueing.execute("DELETE FROM job_queues WHERE organisation_id = :org", org=org)
    shown = await service.show(org)
    assert (shown.paused_at, shown.at_once, list(shown.queued), shown.agents) == (None, 1, [], 0)
    async with queueing.database.transaction() as session:
        assert await sql.pause(session, org, None) and not await sql.pause(session, org, None)
        assert await sql.resume(session, org) and not await sql.resume(session, org)


GPU = Place("gpu", ["gpu", "linux"], ["codex"], connected=True, draining=False, free=1)
AWAY = Place("away", ["arm"], ["codex"], connected=False, draining=False, free=1)
BUSY = Place("busy", ["big"], ["codex"], connected=True, draining=False, free=0)
FULL = Place("full", ["big"], ["codex"], connected=True, draining=False, free=1, rests_for="NoSpace: 2 MB.")
ENDING = Place("ending", ["big"], ["codex"], connected=True, draining=True, free=1)


@pytest.mark.parametrize(
    ("state", "labels", "program", "code", "says"),
    [
        (QueueState(True, 0, 1, [GPU]), [], "codex", "paused", "resume"),
        (QueueState(False, 0, 1, []), [], "codex", "no_agents", "connect"),
        (QueueState(False, 0, 1, [GPU]), [], "aider", "no_match", "program aider"),
        (QueueState(False, 0, 1, [GPU]), ["mac"], "codex", "no_match", "label mac"),
        (QueueState(False, 0, 1, [GPU, AWAY]), ["gpu", "arm"], "codex", "no_match", "all of the labels arm, gpu"),
        (QueueState(False, 0, 1, [GPU, AWAY]), ["arm"], "codex", "not_connected", "away"),
        (QueueState(False, 1, 1, [GPU]), ["gpu"], "codex", "at_limit", "1 of at most 1"),
        (QueueState(False, 0, 1, [GPU, BUSY, ENDING]), ["big"], "codex", "agents_busy", "busy, ending"),
        (
            QueueState(False, 0, 1, [GPU, BUSY, FULL]),
            ["big"],
            "codex",
            "agents_busy",
            "a minute. NoSpace: 2 MB.",
        ),
        (QueueState(False, 0, 1, [GPU]), ["gpu"], "codex", "turn", "turn"),
    ],
)
def test_why_a_job_waits(state: QueueState, labels: list[str], program: str, code: str, says: str) -> None:
    reason = reason_of(state, labels, program)
    assert reason.code == code and says in reason.text


@given(
    st.builds(
        QueueState,
        st.booleans(),
        st.integers(0, 3),
        st.integers(1, 3),
        st.lists(
            st.builds(
                Place,
                st.text("ab", min_size=1),
                st.sets(st.sampled_from("xyz")),
                st.sets(st.sampled_from("pq")),
                st.booleans(),
                st.booleans(),
                st.integers(-1, 2),
            ),
            max_size=4,
        ),
    ),
    st.sets(st.sampled_from("xyz")),
    st.sampled_from("pq"),
)
def test_it_is_a_jobs_turn_where_an_agent_could_get_it_now(state: QueueState, labels: set[str], program: str) -> None:
    able = [
        each
        for each in state.places
        if labels <= set(each.labels)
        and program in each.programs
        and each.connected
        and not each.draining
        and each.free > 0
    ]
    possible = not state.paused and state.running < state.at_once and bool(able)
    assert (reason_of(state, labels, program).code == "turn") == possible
