"""What is promised of queue and fleet, asked of the rows and of what the agents believe."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text

from pavo.jobs import domain as d
from pavo.kit.sql import Database
from tests.fleet.machine.simulated import SimulatedAgent

BEFORE, AFTER = 2.0, 0.5
"""Seconds about a claim in which another statement's time says nothing about which was first."""


@dataclass
class Model:
    """What was asked for, and when, in seconds of PostgreSQL's clock."""

    at_once: dict[uuid.UUID, int]
    jobs: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict[uuid.UUID, uuid.UUID])
    """The organisation of each."""
    queued_at: dict[uuid.UUID, float] = field(default_factory=dict[uuid.UUID, float])
    ranks: dict[uuid.UUID, list[tuple[float, float]]] = field(
        default_factory=dict[uuid.UUID, list[tuple[float, float]]]
    )
    """Of each job, from when on."""
    changed: list[tuple[uuid.UUID, float, float]] = field(default_factory=list[tuple[uuid.UUID, float, float]])
    """Jobs whose place was changed, and between which moments."""
    cancelled: dict[uuid.UUID, float] = field(default_factory=dict[uuid.UUID, float])
    pauses: list[tuple[uuid.UUID, float, float]] = field(default_factory=list[tuple[uuid.UUID, float, float]])
    """Certainly paused from then until then."""
    jumps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When the clock was moved, and by how much."""

    def real(self, moment: float) -> float:
        """As if the clock had never been moved."""
        return moment - sum(by for at, by in self.jumps if moment >= at + by)

    def rank(self, job: uuid.UUID, at: float) -> float:
        return [rank for since, rank in self.ranks[job] if since <= at][-1]


class Rows:
    """Of some jobs, at one moment."""

    def __init__(self, jobs: Sequence[Any], attempts: Sequence[Any], agents: Sequence[Any], now: float) -> None:
        self.jobs: Mapping[uuid.UUID, Any] = {each.id: each for each in jobs}
        self.attempts, self.now = attempts, now
        self.agents: Mapping[uuid.UUID, Any] = {each.id: each for each in agents}

    @classmethod
    async def read(cls, database: Database, jobs: Sequence[uuid.UUID]) -> "Rows":
        """One snapshot."""
        which = {"jobs": list(jobs)}
        async with database.transaction() as session:
            await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            rows = await session.execute(text("SELECT * FROM jobs WHERE id = ANY (:jobs)"), which)
            query = text("SELECT * FROM job_attempts WHERE job_id = ANY (:jobs) ORDER BY job_id, epoch")
            attempts = await session.execute(query, which)
            agents = await session.execute(text("SELECT id, name, capacity FROM remote_agents"))
            now = (await session.execute(text("SELECT pavo_now()"))).scalar_one()
            return cls(rows.all(), attempts.all(), agents.all(), now.timestamp())


def check_moment(model: Model, rows: Rows, agents: Sequence[SimulatedAgent]) -> None:
    """What holds at any moment."""
    assert set(rows.jobs) == set(model.jobs), "no job is lost"
    under_way = [each for each in rows.jobs.values() if each.stage in d.IN_PROGRESS]
    for agent, count in Counter(each.agent_id for each in under_way).items():
        assert count <= rows.agents[agent].capacity, f"{count} jobs on {rows.agents[agent].name}"
    for org, count in Counter(each.organisation_id for each in under_way).items():
        assert count <= model.at_once[org], f"{count} jobs at once"
    begun = {(each.job_id, each.epoch) for each in rows.attempts if each.ended_at is None}
    assert begun == {(each.id, each.epoch) for each in under_way}, "the attempts that hold jobs are those of the rows"
    owners: Counter[str] = Counter()
    for agent in agents:
        owners.update(job for (job, _), until in agent.leased_until.items() if until > rows.now)
        assert all(count == 1 for count in agent.begun.values()), "no command is begun twice"
    assert all(count == 1 for count in owners.values()), "no job is on two agents by their leases"


def check_history(model: Model, rows: Rows) -> None:
    """What holds of all that has happened, once every job is over."""
    waits: dict[uuid.UUID, list[tuple[float, float]]] = {}
    for job_id, row in rows.jobs.items():
        attempts = [each for each in rows.attempts if each.job_id == job_id]
        assert [each.epoch for each in attempts] == [*range(1, row.epoch + 1)]
        assert [each.ended for each in attempts[:-1]] == ["lost"] * len(attempts[:-1])
        since = model.queued_at[job_id]
        for each in attempts:
            assert since - BEFORE <= _seconds(each.begun_at), "an attempt begins after the one before it has ended"
            waits.setdefault(job_id, []).append((since, _seconds(each.begun_at)))
            since = _seconds(each.ended_at)
        expected = (d.DONE, d.CANCELLED) if job_id in model.cancelled else (d.DONE,)
        assert row.stage in expected, (row.stage, row.error)
        if not attempts or attempts[-1].ended == "lost":
            waits.setdefault(job_id, []).append((since, _seconds(row.ended_at)))
    for each in rows.attempts:
        _check_claim(model, rows, waits, each)


def _check_claim(
    model: Model, rows: Rows, waits: Mapping[uuid.UUID, Sequence[tuple[float, float]]], claim: Any
) -> None:
    """Nobody of its organisation had waited in front of it, and its queue was not paused."""
    org, at = model.jobs[claim.job_id], _seconds(claim.begun_at)
    assert not [each for each in model.pauses if each[0] == org and each[1] < at < each[2]], "given out while paused"
    if _is_uncertain(model, claim.job_id, at):
        return
    mine = (model.rank(claim.job_id, at), claim.job_id)
    for other, times in waits.items():
        if model.jobs[other] != org or other == claim.job_id or _is_uncertain(model, other, at):
            continue
        was_there = any(
            model.real(since) < model.real(at) - BEFORE and model.real(at) + AFTER < model.real(until)
            for since, until in times
        )
        assert not was_there or (model.rank(other, at), other) > mine, f"{other} had waited in front of {claim.job_id}"


def _is_uncertain(model: Model, job: uuid.UUID, at: float) -> bool:
    moment = model.real(at)
    changes = [(model.real(since), model.real(until)) for which, since, until in model.changed if which == job]
    return (
        any(since - BEFORE < moment < until + BEFORE for since, until in changes)
        or model.real(model.cancelled.get(job, float("inf"))) < moment + BEFORE
    )


async def check_logs(database: Database, agents: Sequence[SimulatedAgent]) -> None:
    """Of each attempt exactly the lines that its agent has, with what is missing told."""
    query = text("SELECT seq, gap FROM job_logs WHERE job_id = :job AND epoch = :epoch ORDER BY seq")
    async with database.reading() as session:
        for agent in agents:
            for (job, epoch), spool in agent.spools.items():
                found = await session.execute(query, {"job": uuid.UUID(job), "epoch": epoch})
                assert {row.seq: row.gap for row in found} == spool.told, (agent.name, job, epoch)


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
