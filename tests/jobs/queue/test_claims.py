"""Claims, one statement each: who gets which job, and what never happens however many claim at once."""

import asyncio
import uuid
from collections import Counter

import pytest
from sqlalchemy import select, text

from pavo.jobs import domain as d
from pavo.jobs.sql import IN_PROGRESS, claims, waiting
from pavo.jobs.sql.attempts import end_attempt
from pavo.jobs.sql.claims import Claim
from pavo.jobs.sql.models import JobAttemptRow
from pavo.runs.fence import Fence
from pavo.timeline import service as timeline
from tests.jobs.queue.queueing import Queueing


def test_sql_and_rules_mean_the_same_by_in_progress() -> None:
    assert str(d.IN_PROGRESS) == IN_PROGRESS


async def test_a_claim_begins_an_attempt(queueing: Queueing) -> None:
    org = await queueing.organisation()
    agent, job = await queueing.agent(org), await queueing.job(org)
    claim = await queueing.take(org)
    assert claim is not None and (claim.job_id, claim.epoch, claim.agent_id) == (job, 1, agent)
    row = await queueing.row(job)
    assert (row.stage, row.epoch, row.attempts, row.agent_id) == (d.CLAIMED, 1, 1, agent)
    assert row.workflow_id == d.workflow_id(job, 1)
    assert row.lease_until is not None and row.claimed_at is not None
    assert (row.lease_until - row.claimed_at).total_seconds() == d.LEASE_SECONDS
    async with queueing.database.reading() as session:
        events = await timeline.read_after(session, job, 0, 10)
        attempt = (await session.scalars(select(JobAttemptRow).where(JobAttemptRow.job_id == job))).one()
    assert [event.type for event in events] == ["queued", "claimed", "stage"]
    assert events[1:] == list(claim.recorded)
    assert (attempt.epoch, attempt.agent_id, attempt.ended) == (1, agent, None)
    assert await queueing.take(org) is None, "nothing is left"


async def test_rework_comes_first_then_priority_with_age(queueing: Queueing) -> None:
    org = await queueing.organisation(at_once=10)
    await queueing.agent(org, capacity=10)
    late = await queueing.job(org, rank=300.0)
    rework = await queueing.job(org, kind="rework", rank=900.0)
    early = await queueing.job(org, rank=100.0)
    important = await queueing.job(org, priority=90)
    plain = await queueing.job(org, priority=10)
    order = [claim.job_id for _ in range(5) if (claim := await queueing.take(org))]
    assert order == [rework, early, late, important, plain]


async def test_an_old_job_overtakes_an_important_one(queueing: Queueing) -> None:
    org = await queueing.organisation()
    await queueing.agent(org)
    important, old = await queueing.job(org, 51), await queueing.job(org, 50)
    behind = "UPDATE jobs SET rank = rank - :seconds WHERE id = :id"
    await queueing.execute(behind, seconds=d.AGING_SECONDS + 5, id=old)  # as if it had come so much sooner
    claim = await queueing.take(org)
    assert claim is not None and claim.job_id == old != important


@pytest.mark.parametrize(
    "agent",
    [
        {"online": False},
        {"draining": True},
        {"labels": ["linux"]},
        {"programs": ["other"]},
        {"labels": ["linux", "gpu"], "programs": []},
    ],
    ids=str,
)
async def test_who_cannot_do_a_job_does_not_get_it(queueing: Queueing, agent: dict[str, list[str]]) -> None:
    org = await queueing.organisation()
    job = await queueing.job(org, labels=["gpu"])
    await queueing.agent(org, **agent)  # pyright: ignore[reportArgumentType]
    assert await queueing.take(org) is None
    able = await queueing.agent(org, labels=["gpu", "linux", "big"])
    claim = await queueing.take(org)
    assert claim is not None and (claim.job_id, claim.agent_id) == (job, able)


async def test_a_job_that_nobody_can_do_holds_up_no_other(queueing: Queueing) -> None:
    org = await queueing.organisation()
    await queueing.agent(org)
    await queueing.job(org, priority=100, labels=["gpu"])
    second = await queueing.job(org)
    claim = await queueing.take(org)
    assert claim is not None and claim.job_id == second


async def test_agents_of_others_take_nothing(queueing: Queueing) -> None:
    org, other = await queueing.organisation(), await queueing.organisation()
    await queueing.agent(other)
    await queueing.job(org)
    assert await queueing.take(org) is None
    assert await queueing.take(other) is None
    assert await queueing.take(None) is None
    shared = await queueing.agent(None)
    assert await queueing.take(org) is None, "whose turn it is with these is decided among all"
    claim = await queueing.take(None)
    assert claim is not None and claim.agent_id == shared


async def test_one_at_a_time_and_one_per_agent(queueing: Queueing) -> None:
    org = await queueing.organisation()
    await queueing.agent(org, capacity=5)
    await queueing.job(org)
    await queueing.job(org)
    first = await queueing.take(org)
    assert first is not None
    assert await queueing.take(org) is None, "one at a time"
    await queueing.execute("UPDATE job_queues SET at_once = 2 WHERE organisation_id = :org", org=org)
    await queueing.execute("UPDATE remote_agents SET capacity = 1")
    assert await queueing.take(org) is None, "one per agent"
    await queueing.end(first)
    assert await queueing.take(org) is not None


async def test_a_paused_queue_gives_nothing_and_interrupts_nothing(queueing: Queueing) -> None:
    org = await queueing.organisation(at_once=2)
    await queueing.agent(org, capacity=2)
    running = await queueing.job(org)
    await queueing.take(org)
    await queueing.job(org)
    await queueing.execute("UPDATE job_queues SET paused_at = pavo_now() WHERE organisation_id = :org", org=org)
    assert await queueing.take(org) is None
    assert (await queueing.row(running)).stage == d.CLAIMED


async def test_shared_agents_go_to_whoever_waits_longest(queueing: Queueing) -> None:
    orgs = [await queueing.organisation(at_once=100) for _ in range(5)]
    await queueing.agent(None, capacity=100)
    for number, org in enumerate(orgs):
        for _ in range(3 + 5 * number):
            await queueing.job(org, priority=10 * number)
    given = [claim.organisation_id for _ in range(15) if (claim := await queueing.take(None))]
    assert given[:5] == given[5:10] == given[10:15]
    assert set(given[:5]) == set(orgs)


@pytest.mark.parametrize("own", [True, False], ids=["own agents", "shared agents"])
async def test_many_claim_at_once(queueing: Queueing, own: bool) -> None:
    """Nothing twice, nothing beyond a limit, nothing lost; attempts end while others claim."""
    orgs = [await queueing.organisation(at_once=3) for _ in range(4)]
    for org in orgs:
        for _ in range(2):
            await queueing.agent(org if own else None, capacity=2)
        for number in range(30):
            await queueing.job(org, priority=number)
    held: Counter[uuid.UUID] = Counter()
    done: list[Claim] = []

    async def claimer(number: int) -> None:
        org = orgs[number % 4]
        while len(done) < 120:
            claim = await queueing.take(org if own else None)
            if claim is None:
                await asyncio.sleep(0)
                continue
            # From here to the end of the attempt it is held: what is counted is no more than what is there.
            held.update({claim.organisation_id: 1, claim.agent_id: 1})
            assert held[claim.organisation_id] <= 3
            assert held[claim.agent_id] <= 2
            done.append(claim)
            held.subtract({claim.organisation_id: 1, claim.agent_id: 1})
            await queueing.end(claim)

    async with asyncio.timeout(60):
        await asyncio.gather(*(claimer(number) for number in range(24)))
    assert len({claim.job_id for claim in done}) == len(done) == 120
    assert {row.stage for row in await queueing.rows()} == {d.DONE}


async def test_limits_hold_in_the_rows_at_every_commit(queueing: Queueing) -> None:
    """As anybody else sees them, while attempts begin and end."""
    org = await queueing.organisation(at_once=3)
    for _ in range(4):
        await queueing.agent(None, capacity=1)
    await queueing.agent(org, capacity=2)
    for _ in range(60):
        await queueing.job(org)
    taken: list[Claim] = []

    async def claimer(own: bool) -> None:
        for _ in range(20):
            if claim := await queueing.take(org if own else None):
                taken.append(claim)
                rows = [row for row in await queueing.rows() if row.stage in d.IN_PROGRESS]
                assert len(rows) <= 3
                assert all(count <= 2 for count in Counter(row.agent_id for row in rows).values())
                await queueing.end(claim)

    async with asyncio.timeout(60):
        await asyncio.gather(*(claimer(number % 2 == 0) for number in range(12)))
    assert len({claim.job_id for claim in taken}) == len(taken)


async def late_claim(queueing: Queueing, org: uuid.UUID | None, meanwhile: uuid.UUID | None) -> tuple[Claim, object]:
    """What a claim gets that has looked, and locks only after another one is committed: that one, and what it got."""
    statement = claims._OF_ALL if org is None else claims._OF_ORGANISATION  # pyright: ignore[reportPrivateUsage]
    seen = "q.paused_at IS NULL AND coalesce(n.running, 0) < q.at_once"
    assert seen in statement
    slow = statement.replace(seen, f"{seen} AND pg_sleep(0.5) IS NOT NULL")
    values = {"lease": 60, "prefix": "job:", "behind": 2} | ({"organisation": org} if org else {})
    claiming = asyncio.ensure_future(queueing.connections.rows(slow, values))
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    async with queueing.database.reading() as session:
        while not (await session.scalars(text(asleep))).one():
            assert not claiming.done()
    other = await queueing.take(meanwhile)
    assert other is not None
    return other, (await claiming)[0][0]


async def test_what_was_counted_before_another_claim_counts_for_nothing(queueing: Queueing) -> None:
    org = await queueing.organisation()
    await queueing.agent(org)
    await queueing.agent(None)
    await queueing.job(org)
    await queueing.job(org)
    _, got = await late_claim(queueing, org, None)
    assert got is None, "one at a time"


async def test_an_agent_that_another_claim_was_given_meanwhile_is_not_free(queueing: Queueing) -> None:
    first, second = await queueing.organisation(), await queueing.organisation()
    agent = await queueing.agent(None)
    await queueing.job(second)
    await queueing.execute(
        "UPDATE job_queues SET served_at = served_at - interval '1 min' WHERE organisation_id = :o", o=first
    )
    job = await queueing.job(first)
    # Whoever looked first has the first organisation's job in mind; it goes to the one that locks first.
    other, got = await late_claim(queueing, None, None)
    assert (other.job_id, other.agent_id) == (job, agent)
    assert got is None, "the second organisation's job has no agent any more"


@pytest.mark.parametrize(
    ("how", "stage"), [("done", d.DONE), ("failed", d.FAILED), ("cancelled", d.CANCELLED), ("lost", d.QUEUED)]
)
async def test_an_attempt_ends_once(queueing: Queueing, how: str, stage: str) -> None:
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org, rank=7.0)
    claim = await queueing.take(org)
    assert claim is not None
    ended = await queueing.end(claim, how)
    assert (ended.stage, ended.wrote) == (stage, True)
    told = [event.type for event in ended.events]
    assert told == ["attempt_ended", "stage"] + (["queued"] if how == "lost" else [])
    again = await queueing.end(claim, "failed")
    assert (again.stage, again.wrote, list(again.events)) == (stage, False, [])
    row = await queueing.row(job)
    assert (row.stage, row.rank, row.attempts, row.lease_until) == (stage, 7.0, 1, None)
    assert (row.error is not None) == (how in ("failed", "lost"))
    assert (row.ended_at is not None) == (stage in d.OVER)


async def test_a_lost_job_goes_back_to_its_place_until_it_was_tried_often_enough(queueing: Queueing) -> None:
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org, tries=2, rank=1.0)
    await queueing.job(org, rank=2.0)
    for attempt, stage in ((1, d.QUEUED), (2, d.FAILED)):
        claim = await queueing.take(org)
        assert claim is not None and (claim.job_id, claim.epoch) == (job, attempt)
        assert (await queueing.end(claim, "lost")).stage == stage
    error = (await queueing.row(job)).error
    assert error is not None and "2 times" in error["cause"] and "It was lost." in error["cause"]


async def test_a_lost_job_that_was_to_be_cancelled_is(queueing: Queueing) -> None:
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org)
    claim = await queueing.take(org)
    assert claim is not None
    await queueing.execute("UPDATE jobs SET cancel_asked_at = pavo_now() WHERE id = :id", id=job)
    assert (await queueing.end(claim, "lost")).stage == d.CANCELLED


async def test_a_late_write_of_an_older_attempt_ends_nothing(queueing: Queueing) -> None:
    org = await queueing.organisation()
    await queueing.agent(org)
    job = await queueing.job(org)
    first = await queueing.take(org)
    assert first is not None
    await queueing.end(first, "lost")
    assert not (await queueing.end(first, "done")).wrote, "it waits in the queue, under the same epoch"
    second = await queueing.take(org)
    assert second is not None and second.epoch == 2
    assert not (await queueing.end(first, "done")).wrote
    async with queueing.database.transaction() as session:
        late = await end_attempt(session, job, 2, Fence("run", 2, 0), "done")
        assert not late.wrote, "no newer number"
        ended = await end_attempt(session, job, 2, Fence("run", 2, 1), "done")
        assert (ended.stage, ended.wrote) == (d.DONE, True)
        assert not (await end_attempt(session, uuid.uuid4(), 1, None, "done")).wrote
    assert (await queueing.row(job)).run_id == "run"


async def test_jobs_in_front_that_nobody_can_do_cost_a_claim_nothing(queueing: Queueing) -> None:
    """What PostgreSQL reads for a claim does not grow with them, nor with the jobs that are over."""
    org = await queueing.organisation(at_once=10)
    await queueing.agent(org, capacity=10)
    wanted = await queueing.job(org)
    few = await pages_read(queueing, org)
    many = (
        "INSERT INTO jobs (id, organisation_id, repository_id, title, prompt, base_branch, rank, program, branch,"
        " labels, stage) SELECT gen_random_uuid(), :org, :repository, 't', 'p', 'main', -n, 'command', 'b', :labels,"
        " :stage FROM generate_series(1, 3000) AS n"
    )
    of = {"org": org, "repository": queueing.repositories[org]}
    await queueing.execute(many, **of, labels=["gpu"], stage="QUEUED")
    await queueing.execute(many, **of, labels=[], stage="DONE")
    await queueing.execute("ANALYZE jobs")
    # The first claims after so many rows came also put right what PostgreSQL remembers of them.
    assert min([await pages_read(queueing, org) for _ in range(3)]) < few + 60
    claim = await queueing.take(org)
    assert claim is not None and claim.job_id == wanted


async def test_many_that_wait_cost_the_second_line_nothing(queueing: Queueing) -> None:
    """What PostgreSQL reads for one of its looks grows with what is wanted, not with how many want it."""
    first, second = [await queueing.organisation() for _ in range(2)]
    await queueing.agent(first, labels=["gpu"])
    await queueing.job(second)
    await queueing.job(first, labels=["arm"])
    assert await waiting.ready(queueing.database) == []
    await queueing.job(first, labels=["gpu"])
    few = await pages_of_a_look(queueing)
    many = (
        "INSERT INTO jobs (id, organisation_id, repository_id, title, prompt, base_branch, rank, program, branch,"
        " labels) SELECT gen_random_uuid(), :org, :repository, 't', 'p', 'main', n, 'command', 'b', :labels"
        " FROM generate_series(1, 3000) AS n"
    )
    await queueing.execute(many, org=first, repository=queueing.repositories[first], labels=["arm"])
    await queueing.execute(many, org=second, repository=queueing.repositories[second], labels=[])
    await queueing.execute("ANALYZE jobs")
    assert min([await pages_of_a_look(queueing) for _ in range(3)]) < few + 60
    assert await waiting.ready(queueing.database) == [first], "though others come first by what they want"


async def pages_of_a_look(queueing: Queueing) -> int:
    """Of the second line's."""
    explain = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {waiting._READY.text}")  # pyright: ignore[reportPrivateUsage]
    async with queueing.database.reading() as session:
        plan = (await session.execute(explain)).scalar_one()[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def pages_read(queueing: Queueing, org: uuid.UUID) -> int:
    """Of a claim that is taken back."""
    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + claims._OF_ORGANISATION  # pyright: ignore[reportPrivateUsage]
    values = {"lease": 60, "prefix": "job:", "behind": 2, "organisation": org}
    async with queueing.database.transaction() as session:
        driver = (await (await session.connection()).get_raw_connection()).driver_connection
        assert driver is not None
        plan = (await (await driver.execute(explain, values)).fetchone())[0][0]["Plan"]
        await session.rollback()
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
