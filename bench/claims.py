"""Claims of queued jobs beside the bare SQL: `python -m bench.claims [--seconds 5] [--claimers 50]`.

Twenty organisations, one of which has four jobs in five, and agents that serve all. Each claimer claims and has the
attempt over again and again, on a connection of its own. The bare SQL is the same choice without what Pavo keeps of it:
no agents, no limits, no attempt, no timeline.
"""

import argparse
import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, LiteralString

import uvloop

from pavo.deploy.local.stack import STORES, EmbeddedStack, remove_data
from pavo.jobs.sql import claims
from pavo.jobs.sql.claims import Claim
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database, KeptConnection

ORGANISATIONS: Final = 20
JOBS: Final = 20_000
AGENTS: Final = 100

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
_OVER: Final = "UPDATE jobs SET stage = 'DONE', lease_until = NULL WHERE id = %(id)s RETURNING id"
_BARE_OVER: Final = "UPDATE bare_jobs SET stage = 'DONE' WHERE id = %(id)s RETURNING id"

Take = Callable[[KeptConnection], Awaitable[uuid.UUID | None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one arm."""

    claims_per_second: float
    p50_ms: float
    p99_ms: float
    in_vain: float
    """Tries without a job for each that got one."""


async def _pavo(connection: KeptConnection) -> uuid.UUID | None:
    found = await claims.take(connection, None)
    return found.job_id if isinstance(found, Claim) else None


async def _bare(connection: KeptConnection) -> uuid.UUID | None:
    rows = await connection.rows(_BARE, {})
    return rows[0][0] if rows else None


async def _measure(database: Database, take: Take, over: LiteralString, claimers: int, seconds: float) -> Measured:
    took: list[float] = []
    tries = 0
    until = time.perf_counter() + seconds

    async def claimer() -> None:
        nonlocal tries
        connection = KeptConnection(database)
        while (begun := time.perf_counter()) < until:
            job = await take(connection)
            while job is None and time.perf_counter() < until:
                tries += 1
                job = await take(connection)
            if job is not None:
                took.append(time.perf_counter() - begun)
                await connection.rows(over, {"id": job})
        await connection.close()

    await asyncio.gather(*(claimer() for _ in range(claimers)))
    took.sort()
    return Measured(
        len(took) / seconds, 1_000 * took[len(took) // 2], 1_000 * took[len(took) * 99 // 100], tries / len(took)
    )


async def _fill(database: Database) -> None:
    values = {"orgs": ORGANISATIONS, "agents": AGENTS, "jobs": JOBS}
    async with database.autocommit() as connection:
        for statement in _ROWS:
            await connection.exec_driver_sql(statement, values if "%(" in statement else None)


async def main(seconds: float, claimers: int) -> None:
    """Measure both, one after the other, and print them."""
    folder = Path(tempfile.mkdtemp(prefix="pavo-bench-"))
    folder.chmod(0o711)
    try:
        async with EmbeddedStack(folder, ephemeral=True, parts=STORES) as stack:
            url = stack.environment["DATABASE_URL"]
            await asyncio.to_thread(upgrade, url)
            database = Database(url, pool_size=claimers + 5)
            try:
                await _fill(database)
                bare = await _measure(database, _bare, _BARE_OVER, claimers, seconds)
                pavo = await _measure(database, _pavo, _OVER, claimers, seconds)
            finally:
                await database.close()
    finally:
        remove_data(folder)
    for name, found in (("bare SQL", bare), ("Pavo", pavo)):
        print(
            f"{name:9} {found.claims_per_second:7.0f} claims/s, p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, "
            f"{found.in_vain:.2f} tries in vain for each"
        )
    print(f"ratio     {pavo.claims_per_second / bare.claims_per_second:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m bench.claims")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--claimers", type=int, default=50)
    uvloop.run(main(**vars(parser.parse_args())))
