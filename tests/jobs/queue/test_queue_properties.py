"""Properties of queues, named after what they hold: hypothesis draws examples, PostgreSQL and Temporal are real."""

from typing import Any

from hypothesis import strategies as st
from temporalio.client import Client

from pavo.jobs import domain as d
from pavo.jobs.lease_watch import LeaseWatch
from pavo.jobs.queue.service import QueueService
from pavo.jobs.sql import waiting
from tests.drawing import examples
from tests.jobs.queue.queueing import Queueing
from tests.jobs.queue.test_claims_machine import Silent

SILENCE = 3_600.0
SILENT: Any = Silent()


async def test_marked_failed(queueing: Queueing) -> None:
    """A job that is lost goes back, until it was begun as often as it may be; then it is FAILED, and says so."""

    async def check(tries: int) -> None:
        org = await queueing.organisation()
        await queueing.agent(org)
        job = await queueing.job(org, tries=tries)
        for attempt in range(1, tries + 1):
            claim = await queueing.take(org)
            assert claim is not None and claim.epoch == attempt
            ended = await queueing.end(claim, "lost")
            assert ended.stage == (d.QUEUED if attempt < tries else d.FAILED)
        row = await queueing.row(job)
        assert row.error is not None and row.error["type"] == "AttemptsUsedUp"
        assert f"{tries} times" in row.error["cause"] and row.error["remedy"]
        assert await queueing.take(org) is None

    await examples(st.integers(1, 5), check)


async def test_stuck_detected(queueing: Queueing) -> None:
    """An attempt is found when its lease has run out, or when nothing came of it for too long and nobody is asked."""
    gate = (
        "INSERT INTO gates (id, organisation_id, subject_id, scope, kind, key, body, hash, schema)"
        " VALUES (gen_random_uuid(), :org, :id, 's', 'plan', 'plan', 'b', 'h', '{}')"
    )
    change = (
        "UPDATE jobs SET heard_at = pavo_now() - make_interval(mins => :minutes),"
        " lease_until = pavo_now() + make_interval(secs => :seconds) WHERE id = :id"
    )

    async def check(example: tuple[int, bool, bool]) -> None:
        minutes, expired, asked = example
        org = await queueing.organisation()
        await queueing.agent(org)
        job = await queueing.job(org)
        assert await queueing.take(org) is not None
        await queueing.execute(change, id=job, minutes=minutes, seconds=-1 if expired else 600)
        if asked:
            await queueing.execute(gate, org=org, id=job)
        found = {each.job_id: each for each in await waiting.lost_attempts(queueing.database, SILENCE)}
        assert (job in found) == (expired or (minutes > 60 and not asked))
        assert job not in found or found[job].expired == expired

    minutes = st.one_of(st.integers(0, 59), st.integers(61, 10_000))
    await examples(st.tuples(minutes, st.booleans(), st.booleans()), check)


async def test_orphans_detected_and_requeued(queueing: Queueing, temporal: Client) -> None:
    """Of attempts that no workflow has, those whose lease ran out go back to their place, counted; the others stay."""
    watch = LeaseWatch(queueing.database, temporal, SILENT, SILENT, SILENCE)
    expire = "UPDATE jobs SET lease_until = pavo_now() - interval '1 s' WHERE id = :id"

    async def check(expired: list[bool]) -> None:
        org = await queueing.organisation(at_once=10)
        await queueing.agent(org, capacity=10)
        jobs = [await queueing.job(org) for _ in expired]
        ranks = [(await queueing.row(job)).rank for job in jobs]
        for _ in jobs:
            assert await queueing.take(org) is not None
        for job, is_expired in zip(jobs, expired, strict=True):
            if is_expired:
                await queueing.execute(expire, id=job)
        assert await watch.look() == sum(expired)
        assert await watch.look() == 0, "once"
        for job, rank, is_expired in zip(jobs, ranks, expired, strict=True):
            row, attempt = await queueing.row(job), await queueing.attempt(job, 1)
            assert (row.stage, row.rank, row.attempts) == (d.QUEUED if is_expired else d.CLAIMED, rank, 1)
            assert (attempt.ended, attempt.cleanup_owed) == (("lost", True) if is_expired else (None, False))

    await examples(st.lists(st.booleans(), min_size=1, max_size=5), check)


async def test_queue_status_complete(queueing: Queueing) -> None:
    """Every job is shown: in progress with its agent, or waiting in its order with a reason; the counts are theirs."""
    service = QueueService(queueing.database, SILENT, SILENT)

    async def check(example: tuple[list[bool], bool, bool]) -> None:
        rework, there, paused = example
        org = await queueing.organisation(at_once=1)
        if there:
            await queueing.agent(org)
        jobs = [
            await queueing.job(org, kind=d.REWORK if each else d.BACKLOG, rank=float(number))
            for number, each in enumerate(rework)
        ]
        claim = await queueing.take(org)
        assert (claim is not None) == there
        if paused:
            await service.pause(org, None)
        shown = await service.show(org)
        order = [job for wanted in (True, False) for job, each in zip(jobs, rework, strict=True) if each is wanted]
        given_out = order[:1] if there else []
        assert [each.id for each in shown.running] == given_out
        assert [each.job.id for each in shown.queued] == order[len(given_out) :]
        assert [each.position for each in shown.queued] == [*range(1, len(shown.queued) + 1)]
        assert all(each.why for each in shown.queued)
        assert (shown.paused_at is not None, shown.at_once) == (paused, 1)
        assert (shown.agents, shown.connected) == (int(there), int(there))
        assert sum(shown.counts.values()) == len(jobs) and shown.counts.get(d.CLAIMED, 0) == len(given_out)

    await examples(st.tuples(st.lists(st.booleans(), min_size=1, max_size=6), st.booleans(), st.booleans()), check)
