"""Claims in any order against a model: who gets what, and that nothing is ever lost, doubled or beyond a limit."""

import asyncio
import os
import uuid
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from pavo.jobs import domain as d
from pavo.jobs.queue.service import QueueService
from pavo.jobs.sql import queue_view
from pavo.jobs.sql.claims import Claim
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from tests.jobs.queue.queueing import Queueing
from tests.machines import loop_beside, run_machine
from tests.parts import Stores, drop_database, new_database

EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "8"))
LABELS = st.sampled_from([(), ("gpu",), ("gpu", "mac")])
TRIES = 3


class Silent:
    """Tells nobody."""

    async def look(self, organisation_id: uuid.UUID | None) -> None:
        """Nothing."""

    def publish(self, events: Any) -> None:
        """Nothing."""


@dataclass
class Job:
    """What the model knows of a job."""

    org: uuid.UUID
    labels: tuple[str, ...]
    rework: bool
    number: int
    stage: str = d.QUEUED
    attempts: int = 0
    agent: uuid.UUID | None = None


@dataclass
class Agent:
    """What the model knows of an agent."""

    org: uuid.UUID | None
    labels: tuple[str, ...]
    capacity: int
    online: bool = True


class Claims(RuleBasedStateMachine):
    """Two organisations, agents of theirs and of all. Jobs are ordered by a rank that counts up."""

    database: Database
    loop: asyncio.AbstractEventLoop

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(60)

    @initialize()
    def begin(self) -> None:
        self.queueing = Queueing(self.database)
        self.do(self.queueing.clear())
        silent: Any = Silent()
        self.service = QueueService(self.database, silent, silent)
        self.orgs = [self.do(self.queueing.organisation()) for _ in range(2)]
        self.at_once = dict.fromkeys(self.orgs, 1)
        self.paused: set[uuid.UUID] = set()
        self.jobs: dict[uuid.UUID, Job] = {}
        self.agents: dict[uuid.UUID, Agent] = {}
        self.claims: dict[uuid.UUID, Claim] = {}
        self.number = 0
        for org, labels in ((0, ("gpu",)), (2, ())):
            self.connect(org, labels, 1)
        for org, labels in ((0, ()), (0, ("gpu",)), (1, ())):
            self.submit(org, labels, False)

    @rule(org=st.integers(0, 1), labels=LABELS, rework=st.booleans())
    def submit(self, org: int, labels: tuple[str, ...], rework: bool) -> None:
        self.number += 1
        kind = d.REWORK if rework else d.BACKLOG
        job = self.do(self.queueing.job(self.orgs[org], labels=labels, kind=kind, rank=float(self.number), tries=TRIES))
        self.jobs[job] = Job(self.orgs[org], labels, rework, self.number)

    @rule(org=st.integers(0, 2), labels=LABELS, capacity=st.integers(1, 2))
    def connect(self, org: int, labels: tuple[str, ...], capacity: int) -> None:
        whose = [*self.orgs, None][org]
        agent = self.do(self.queueing.agent(whose, labels=labels, capacity=capacity))
        self.agents[agent] = Agent(whose, labels, capacity)

    @precondition(lambda self: self.agents)
    @rule(chosen=st.randoms(use_true_random=False))
    def come_and_go(self, chosen: Any) -> None:
        agent = chosen.choice(sorted(self.agents))
        known = self.agents[agent]
        known.online = not known.online
        changed = "UPDATE remote_agents SET online = :online WHERE id = :id"
        self.do(self.queueing.execute(changed, online=known.online, id=agent))

    @rule(org=st.integers(0, 1), at_once=st.integers(1, 3))
    def limit(self, org: int, at_once: int) -> None:
        self.do(self.service.limit(self.orgs[org], at_once))
        self.at_once[self.orgs[org]] = at_once

    @rule(org=st.integers(0, 1))
    def pause_or_resume(self, org: int) -> None:
        whose = self.orgs[org]
        self.do(self.service.resume(whose) if whose in self.paused else self.service.pause(whose, None))
        self.paused ^= {whose}

    @rule(whose=st.integers(0, 2))
    def take(self, whose: int) -> None:
        org = [*self.orgs, None][whose]
        first = {each: self._first(each, org) for each in self.orgs if org in (None, each)}
        claim = self.do(self.queueing.take(org))
        if claim is None:
            assert set(first.values()) == {None}
            return
        assert claim.job_id == first[claim.organisation_id], "the first that a free agent can do"
        assert claim.agent_id in self._able(self.jobs[claim.job_id], org)
        job = self.jobs[claim.job_id]
        job.attempts += 1
        assert claim.epoch >= job.attempts
        job.stage, job.agent = d.CLAIMED, claim.agent_id
        self.claims[claim.job_id] = claim

    @precondition(lambda self: self.claims)
    @rule(chosen=st.randoms(use_true_random=False), how=st.sampled_from(["done", "failed", "cancelled", "lost"]))
    def end(self, chosen: Any, how: str) -> None:
        claim = self.claims.pop(chosen.choice(sorted(self.claims)))
        job = self.jobs[claim.job_id]
        back = d.QUEUED if job.attempts < TRIES else d.FAILED
        job.stage = {"done": d.DONE, "failed": d.FAILED, "cancelled": d.CANCELLED, "lost": back}[how]
        assert self.do(self.queueing.end(claim, how)).stage == job.stage
        assert not self.do(self.queueing.end(claim, "done")).wrote, "an attempt ends once"

    @precondition(lambda self: any(job.stage == d.QUEUED for job in self.jobs.values()))
    @rule(chosen=st.randoms(use_true_random=False), position=st.integers(1, 6))
    def move(self, chosen: Any, position: int) -> None:
        moved = chosen.choice(sorted(each for each, job in self.jobs.items() if job.stage == d.QUEUED))
        org = self.jobs[moved].org
        before = self._order(org)
        self.do(self.service.move(org, moved, "ada@example.com", position=position))
        after = self._order(org)
        assert [each for each in after if each != moved] == [each for each in before if each != moved]

    def _order(self, org: uuid.UUID) -> list[uuid.UUID]:
        return self.do(self._queued(org))

    async def _queued(self, org: uuid.UUID) -> list[uuid.UUID]:
        async with self.database.reading() as session:
            return [each.id for each in await queue_view.queued(session, org, 0, 500)]

    def _busy(self, agent: uuid.UUID) -> int:
        return sum(job.agent == agent for job in self.jobs.values() if job.stage == d.CLAIMED)

    def _able(self, job: Job, org: uuid.UUID | None) -> set[uuid.UUID]:
        return {
            each
            for each, agent in self.agents.items()
            if agent.org == org and agent.online and set(job.labels) <= set(agent.labels)
            if self._busy(each) < agent.capacity
        }

    def _first(self, whose: uuid.UUID, org: uuid.UUID | None) -> uuid.UUID | None:
        """The job that is to be given out next of an organisation, by its own agents or those that serve all."""
        running = sum(job.stage == d.CLAIMED and job.org == whose for job in self.jobs.values())
        if whose in self.paused or running >= self.at_once[whose]:
            return None
        return next((each for each in self._order(whose) if self._able(self.jobs[each], org)), None)

    def teardown(self) -> None:
        if hasattr(self, "queueing"):
            self.do(self.queueing.connections.close())

    @invariant()
    def rows_and_model_agree(self) -> None:
        if not hasattr(self, "jobs"):
            return
        rows = self.do(self.queueing.rows())
        assert {row.id: row.stage for row in rows} == {each: job.stage for each, job in self.jobs.items()}
        assert {row.id: row.attempts for row in rows} == {each: job.attempts for each, job in self.jobs.items()}
        for whose in self.orgs:
            order = [self.jobs[each].rework for each in self._order(whose)]
            assert order == sorted(order, reverse=True), "rework first"
        busy = Counter(row.agent_id for row in rows if row.stage in d.IN_PROGRESS)
        assert all(count <= self.agents[agent].capacity for agent, count in busy.items() if agent is not None)


def test_claims_follow_the_model(stores: Stores) -> None:
    url = new_database(stores)
    upgrade(url)
    with loop_beside() as loop:
        database = Database(url, pool_size=30)
        try:
            run_machine(Claims, {"database": database, "loop": loop}, examples=EXAMPLES, steps=20)
        finally:
            asyncio.run_coroutine_threadsafe(database.close(), loop).result(10)
    drop_database(stores, url)


@pytest.mark.parametrize("agents", [20, 1])
async def test_ten_thousand_jobs_of_twenty_organisations_are_given_out_fairly(queueing: Queueing, agents: int) -> None:
    """Of whoever has 8,100 and whoever has 100 the same share, within five in a hundred, while both have any."""
    orgs = [await queueing.organisation(at_once=1_000) for _ in range(20)]
    for _ in range(agents):
        await queueing.agent(None, capacity=2_000 // agents)
    many = text(
        "INSERT INTO jobs (id, organisation_id, repository_id, title, prompt, base_branch, rank, program, branch)"
        " SELECT gen_random_uuid(), :org, :repository, 't', 'p', 'main', n, 'command', 'b'"
        " FROM generate_series(1, :count) AS n"
    )
    begun = text("INSERT INTO timelines (id, last_seq) SELECT id, 0 FROM jobs")
    async with queueing.database.transaction() as session:
        for number, org in enumerate(orgs):
            values = {"org": org, "repository": queueing.repositories[org], "count": 8_100 if number == 0 else 100}
            await session.execute(many, values)
        await session.execute(begun)
    given: Counter[uuid.UUID] = Counter()

    async def claimer() -> None:
        for _ in range(250):
            claim = await queueing.take(None)
            assert claim is not None
            given[claim.organisation_id] += 1

    async with asyncio.timeout(90):
        await asyncio.gather(*(claimer() for _ in range(4)))
    assert set(given) == set(orgs)
    fair = sum(given.values()) / len(orgs)
    assert all(abs(count - fair) <= max(1, 0.05 * fair) for count in given.values()), sorted(given.values())
