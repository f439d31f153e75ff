"""Claims of queued jobs beside the bare SQL: `python -m bench.claims [--seconds 3] [--claimers 50] [--rounds 3]`.

Twenty organisations, one of which has four jobs in five, and a hundred agents that serve all. Each claimer claims again
and again, on a connection of its own, and puts the job back at the end of its queue, so that all queues have jobs all
the time. The bare SQL is the same choice without what Pavo keeps of it: no agents, no limits, no attempt, no timeline.

Arms: one claimer; all of them, each as fast as it can; the same behind 10,000 jobs that no agent can do; all of them
over the five connections that a worker keeps for such statements, instead of one each, as monitors do; and so at
`--rate` claims a second together, whose times count from when each was due. Beside them what a claim costs without the
triggers of its tables, and two statements that do nothing, which is what this program and PostgreSQL cost at least;
and a Celery worker that takes messages from Valkey (`bench.celery_claims`).
"""

import argparse
import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final, LiteralString

import uvloop

from bench.celery_claims import measure as measure_celery
from bench.proc import group, usage
from pavo.deploy.local.stack import STORES, EmbeddedStack, remove_data
from pavo.jobs.sql import claims
from pavo.jobs.sql.claims import Claim, Statements
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database, KeptConnections

ORGANISATIONS: Final = 20
JOBS: Final = 20_000
AGENTS: Final = 100
KEPT: Final = 5
"""Of a worker with its default settings (`pavo.kit.sql.Database.kept`)."""
WARMED: Final = 6
"""Claims of a connection before it is measured: PostgreSQL plans a statement anew five times, then it keeps a plan."""

_ROWS: Final[tuple[LiteralString, ...]] = (
    "INSERT INTO organisations (id, name) SELECT gen_random_uuid(), 'o' || n FROM generate_series(1, %(orgs)s) n",
    "INSERT INTO repositories (id, organisation_id, name, clone_url)"
    " SELECT gen_random_uuid(), id, 'r', 'http://localhost/r' FROM organisations",
    "INSERT INTO job_queues (organisation_id, at_once) SELECT id, 1000 FROM organisations",
    "INSERT INTO remote_agents (id, name, programs, online, queue, capacity)"
    " SELECT gen_random_uuid(), 'a' || n, '{command}', true, 'q' || n, 4 FROM generate_series(1, %(agents)s) n",
    "INSERT INTO jobs (id, organisation_id, repository_id, title, prompt, base_branch, rank, program, branch)"
    " SELECT gen_random_uuid(), r.organisation_id, r.id, 't', 'p', 'main', n, 'command', 'b'"
    " FROM (SELECT *, row_number() OVER (ORDER BY id) AS place FROM repositories) r"
    " CROSS JOIN generate_series(1, %(jobs)s) n"
    " WHERE (n %% 5 > 0 AND r.place = 1) OR (n %% 5 = 0 AND r.place = 1 + n / 5 %% %(orgs)s)",
    "INSERT INTO timelines (id, last_seq) SELECT id, 0 FROM jobs",
    "CREATE TABLE bare_queues AS SELECT organisation_id, served_at FROM job_queues",
    "CREATE INDEX ON bare_queues (served_at)",
    "CREATE TABLE bare_jobs AS SELECT id, organisation_id, rank, 'QUEUED' AS stage, 0 AS epoch FROM jobs",
    "ALTER TABLE bare_jobs ADD PRIMARY KEY (id)",
    "CREATE INDEX ON bare_jobs (organisation_id, rank, id) WHERE stage = 'QUEUED'",
    "ANALYZE",
)
_BARE: Final = """
WITH queue AS MATERIALIZED (
    SELECT q.organisation_id FROM bare_queues q WHERE EXISTS (
        SELECT FROM bare_jobs j WHERE j.organisation_id = q.organisation_id AND j.stage = 'QUEUED'
    ) ORDER BY q.served_at LIMIT 1 FOR UPDATE SKIP LOCKED
), job AS MATERIALIZED (
    SELECT l.id FROM queue q CROSS JOIN LATERAL (
        SELECT j.id FROM bare_jobs j WHERE j.organisation_id = q.organisation_id AND j.stage = 'QUEUED'
        ORDER BY j.rank, j.id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) l
), taken AS (
    UPDATE bare_jobs j SET stage = 'CLAIMED', epoch = j.epoch + 1 FROM job WHERE j.id = job.id RETURNING j.id
), served AS (
    UPDATE bare_queues q SET served_at = clock_timestamp() FROM queue u WHERE q.organisation_id = u.organisation_id
)
SELECT id FROM taken
"""
_OVER: Final = (
    "UPDATE jobs SET stage = 'QUEUED', lease_until = NULL, rank = rank + 1000000 WHERE id = %(id)s RETURNING id"
)
_BARE_OVER: Final = "UPDATE bare_jobs SET stage = 'QUEUED', rank = rank + 1000000 WHERE id = %(id)s RETURNING id"
UNWANTED: Final = 10_000
_IN_FRONT: Final = (
    "INSERT INTO jobs (id, organisation_id, repository_id, title, prompt, base_branch, rank, program, branch, labels)"
    " SELECT gen_random_uuid(), organisation_id, id, 't', 'p', 'main', -n, 'command', 'b', '{nobody}'"
    f" FROM repositories CROSS JOIN generate_series(1, {UNWANTED // ORGANISATIONS}) n"
)
_NOTHING: Final = "SELECT %(id)s::uuid"
_OUT_OF_THE_WAY: Final = "DELETE FROM jobs WHERE labels = '{nobody}'"

Take = Callable[[Statements], Awaitable[uuid.UUID | None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one arm."""

    claims_per_second: float
    cpu_ms: float
    """Of a claim and of having the job back, PostgreSQL's and the claimers' together."""
    p50_ms: float
    p99_ms: float
    in_vain: float
    """Tries without a job for each that got one."""


async def _pavo(connection: Statements) -> uuid.UUID | None:
    found = await claims.take(connection, None)
    return found.job_id if isinstance(found, Claim) else None


async def _bare(connection: Statements) -> uuid.UUID | None:
    rows = await connection.rows(_BARE, {})
    return rows[0][0] if rows else None


async def _nothing(connection: Statements) -> uuid.UUID | None:
    return (await connection.rows(_NOTHING, {"id": uuid.UUID(int=0)}))[0][0]


@dataclass(frozen=True, slots=True)
class Arm:
    """What is measured."""

    name: str
    take: Take
    over: LiteralString
    claimers: int
    rate: float = 0.0
    """Claims a second, of all claimers; 0: as many as they can."""
    unwanted: bool = False
    """Behind jobs that no agent can do."""
    connections: int = 0
    """Which they share; 0: each has its own."""
    triggers: bool = True
    """Whether changes are told, as always; without, what that costs is seen."""


class _Claimer:
    """One connection that claims."""

    def __init__(self, connection: Statements, arm: Arm) -> None:
        self._connection = connection
        self._arm = arm
        self.took: list[float] = []
        self.in_vain = 0

    async def warm(self) -> None:
        for _ in range(WARMED):
            await self._claim(0.0)
        self.in_vain = 0

    async def claim_until(self, due: float, until: float) -> None:
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if (got := await self._claim(until)) is None:
                break
            self.took.append(got - due)
            due = due + self._arm.claimers / self._arm.rate if self._arm.rate else time.perf_counter()

    async def _claim(self, until: float) -> float | None:
        job = await self._arm.take(self._connection)
        while job is None and time.perf_counter() < until:
            self.in_vain += 1
            job = await self._arm.take(self._connection)
        if job is None:
            return None
        got = time.perf_counter()
        await self._connection.rows(self._arm.over, {"id": job})
        return got


async def _measure(database: Database, arm: Arm, seconds: float) -> Measured:
    connections = [KeptConnections(database, 1) for _ in range(0 if arm.connections else arm.claimers)]
    shared = KeptConnections(database, arm.connections or 1)
    claimers = [_Claimer(connections[number] if connections else shared, arm) for number in range(arm.claimers)]
    await asyncio.gather(*(each.warm() for each in claimers))
    cpu, start = usage([os.getpid()]).cpu, time.perf_counter()
    due = [start + (number / arm.rate if arm.rate else 0.0) for number in range(arm.claimers)]
    await asyncio.gather(*(one.claim_until(at, start + seconds) for one, at in zip(claimers, due, strict=True)))
    cpu = usage([os.getpid()]).cpu - cpu
    for each in (*connections, shared):
        await each.close()
    took = sorted(chain(*(each.took for each in claimers)))
    count = max(1, len(took))
    p50, p99 = (1_000 * took[len(took) * share // 100] if took else 0.0 for share in (50, 99))
    return Measured(len(took) / seconds, 1_000 * cpu / count, p50, p99, sum(each.in_vain for each in claimers) / count)


async def _round(database: Database, arms: Sequence[Arm], seconds: float) -> list[Measured]:
    """One after the other."""
    found: list[Measured] = []
    for arm in arms:
        async with database.autocommit() as connection:
            await connection.exec_driver_sql(_IN_FRONT if arm.unwanted else _OUT_OF_THE_WAY)
            await connection.exec_driver_sql(f"ALTER TABLE jobs {'ENABLE' if arm.triggers else 'DISABLE'} TRIGGER USER")
            await connection.exec_driver_sql("VACUUM ANALYZE jobs, remote_agents, job_queues, bare_jobs, bare_queues")
        found.append(await _measure(database, arm, seconds))
    return found


async def _celery(seconds: float, rate: float) -> Measured:
    with group("celery") as started:
        return Measured(*await measure_celery(started, seconds, rate), 0.0)


async def _fill(database: Database) -> None:
    values = {"orgs": ORGANISATIONS, "agents": AGENTS, "jobs": JOBS}
    async with database.autocommit() as connection:
        for statement in _ROWS:
            await connection.exec_driver_sql(statement, values if "%(" in statement else None)


async def main(seconds: float, claimers: int, rounds: int, rate: float) -> None:
    """Measure all arms in each round, and print the medians of the rounds, and of the ratios within each."""
    arms = [
        Arm("bare SQL, 1 claimer", _bare, _BARE_OVER, 1),
        Arm("Pavo, 1 claimer", _pavo, _OVER, 1),
        Arm(f"bare SQL, {claimers} claimers", _bare, _BARE_OVER, claimers),
        Arm(f"Pavo, {claimers} claimers", _pavo, _OVER, claimers),
        Arm(f"the same behind {UNWANTED} that nobody can do", _pavo, _OVER, claimers, unwanted=True),
        Arm(f"bare SQL, {claimers} claimers, {KEPT} connections", _bare, _BARE_OVER, claimers, connections=KEPT),
        Arm(f"Pavo, {claimers} claimers, {KEPT} connections", _pavo, _OVER, claimers, connections=KEPT),
        Arm(f"Pavo, {claimers} at {rate:.0f}/s, {KEPT} connections", _pavo, _OVER, claimers, rate, connections=KEPT),
        Arm(f"Pavo without triggers, {claimers} claimers", _pavo, _OVER, claimers, triggers=False),
        Arm(f"two statements that do nothing, {claimers} claimers", _nothing, _NOTHING, claimers),
    ]
    folder = Path(tempfile.mkdtemp(prefix="pavo-bench-"))
    folder.chmod(0o711)
    try:
        async with EmbeddedStack(folder, ephemeral=True, parts=STORES) as stack:
            url = stack.environment["DATABASE_URL"]
            await asyncio.to_thread(upgrade, url)
            database = Database(url, pool_size=claimers + 5, statement_timeout_ms=60_000)
            try:
                await _fill(database)
                found = [[*await _round(database, arms, seconds), await _celery(seconds, rate)] for _ in range(rounds)]
            finally:
                await database.close()
    finally:
        remove_data(folder)
    _print([*(each.name for each in arms), f"Celery, 50 threads, Valkey; its times at {rate:.0f}/s"], found)


_RATIOS: Final = (
    *(("1 claimer", 1, 0), ("all", 3, 2), ("unwanted in front", 4, 3), ("shared", 6, 5)),
    *(("all without triggers", 8, 3), ("all beside nothing", 3, 9)),
    ("shared, beside Celery", 6, 10),
)
"""Of which arms, by their numbers."""


def _print(names: Sequence[str], rounds: Sequence[Sequence[Measured]]) -> None:
    for number, name in enumerate(names):
        of = [each[number] for each in rounds]
        rate, cpu = median(each.claims_per_second for each in of), median(each.cpu_ms for each in of)
        p50, p99 = median(each.p50_ms for each in of), median(each.p99_ms for each in of)
        vain = median(each.in_vain for each in of)
        print(f"{name}: {rate:.0f} claims/s, {cpu:.2f} ms CPU, p50 {p50:.1f}, p99 {p99:.1f} ms, {vain:.2f} in vain")
    for name, ours, theirs in _RATIOS:
        rates = [each[ours].claims_per_second / each[theirs].claims_per_second for each in rounds]
        costs = [each[ours].cpu_ms / each[theirs].cpu_ms for each in rounds]
        found = f"{median(rates):.2f} ({min(rates):.2f} to {max(rates):.2f}) of the rate"
        print(f"ratio, {name}: {found}, {median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f}) of the CPU")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m bench.claims")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--claimers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=200.0)
    uvloop.run(main(**vars(parser.parse_args())))
