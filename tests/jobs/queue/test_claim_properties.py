"""Properties of claims, named after what they hold: hypothesis draws queues, PostgreSQL is real. What steps in any
order do to all of them together is drawn by `test_claims_machine`."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence

from hypothesis import strategies as st

from pavo.jobs import domain as d
from pavo.jobs.sql.claims import Claim
from tests.drawing import examples
from tests.jobs.queue.queueing import Queueing


async def taken(queueing: Queueing, org: uuid.UUID, claimers: int) -> list[Claim]:
    """What so many claim at once, each until it is given nothing."""

    async def claim() -> list[Claim]:
        found: list[Claim] = []
        while (one := await queueing.take(org)) is not None:
            found.append(one)
        return found

    return [each for some in await asyncio.gather(*(claim() for _ in range(claimers))) for each in some]


async def queue_of(queueing: Queueing, at_once: int, agents: Sequence[int], jobs: int) -> uuid.UUID:
    """An organisation with agents of these capacities and so many jobs."""
    org = await queueing.organisation(at_once=at_once)
    for capacity in agents:
        await queueing.agent(org, capacity=capacity)
    for _ in range(jobs):
        await queueing.job(org)
    return org


AGENTS = st.lists(st.integers(1, 2), min_size=1, max_size=4)


async def test_claim_atomic(queueing: Queueing) -> None:
    """However many claim at once, each job is given once, with one attempt and one lease, and nobody waits for ever."""

    async def check(example: tuple[int, Sequence[int], int]) -> None:
        claimers, agents, jobs = example
        org = await queue_of(queueing, 100, agents, jobs)
        found = await taken(queueing, org, claimers)
        assert len(found) == len({each.job_id for each in found}) == min(jobs, sum(agents))
        for each in found:
            row, attempt = await queueing.row(each.job_id), await queueing.attempt(each.job_id, 1)
            assert (row.stage, row.epoch, row.attempts, row.agent_id) == (d.CLAIMED, 1, 1, each.agent_id)
            assert row.lease_until is not None and attempt.agent_id == each.agent_id and attempt.ended is None

    await examples(st.tuples(st.integers(2, 12), AGENTS, st.integers(1, 10)), check)


async def test_one_execution_per_organisation(queueing: Queueing) -> None:
    """An organisation has no more jobs in progress than it runs at once, one by default, however many agents are
    free."""

    async def check(example: tuple[int, Sequence[int], int]) -> None:
        at_once, agents, jobs = example
        org = await queue_of(queueing, at_once, agents, jobs)
        left = jobs
        while left:
            found = await taken(queueing, org, 6)
            assert len(found) == min(at_once, sum(agents), left)
            assert await queueing.take(org) is None
            for each in found:
                await queueing.end(each)
            left -= len(found)

    await examples(st.tuples(st.sampled_from([1, 1, 2, 3]), AGENTS, st.integers(1, 6)), check)


async def test_one_job_per_agent(queueing: Queueing) -> None:
    """No agent has more jobs than its capacity, one by default, and none is left idle while a job waits for it."""

    async def check(example: tuple[Sequence[int], int]) -> None:
        agents, jobs = example
        org = await queue_of(queueing, 100, agents, jobs)
        busy = Counter(each.agent_id for each in await taken(queueing, org, 8))
        capacities = sorted(agents)
        assert sum(busy.values()) == min(jobs, sum(agents))
        assert all(count <= max(capacities) for count in busy.values())
        assert sum(count > 1 for count in busy.values()) <= sum(each > 1 for each in agents)

    await examples(st.tuples(AGENTS, st.integers(1, 10)), check)


async def test_priority_order(queueing: Queueing) -> None:
    """Rework first, then by priority, then by age; and each with the age that its waiting has earned it."""

    async def check(jobs: Sequence[tuple[bool, int]]) -> None:
        org = await queueing.organisation(at_once=100)
        await queueing.agent(org, capacity=100)
        made = [
            (not rework, -priority, number, await queueing.job(org, priority, kind=d.REWORK if rework else d.BACKLOG))
            for number, (rework, priority) in enumerate(jobs)
        ]
        order = [claim.job_id for _ in jobs if (claim := await queueing.take(org))]
        assert order == [job for *_, job in sorted(made, key=lambda each: each[:3])]

    kinds = st.tuples(st.booleans(), st.sampled_from([0, 25, 50, 75, 100]))
    await examples(st.lists(kinds, min_size=2, max_size=8), check)


async def test_non_preemption(queueing: Queueing) -> None:
    """Whatever comes while a job is in progress, and however important it is, waits until that one has ended."""

    async def check(example: tuple[int, Sequence[tuple[bool, int]]]) -> None:
        priority, later = example
        org = await queueing.organisation()
        agent = await queueing.agent(org)
        first = await queueing.job(org, priority)
        claim = await queueing.take(org)
        assert claim is not None and claim.job_id == first
        for rework, important in later:
            await queueing.job(org, important, kind=d.REWORK if rework else d.BACKLOG)
            assert await queueing.take(org) is None
            row = await queueing.row(first)
            assert (row.stage, row.epoch, row.agent_id) == (d.CLAIMED, 1, agent)
        await queueing.end(claim)
        assert await queueing.take(org) is not None

    later = st.lists(st.tuples(st.booleans(), st.sampled_from([0, 50, 100])), min_size=1, max_size=4)
    await examples(st.tuples(st.sampled_from([0, 50, 100]), later), check)
