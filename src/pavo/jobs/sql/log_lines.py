"""Lines of jobs' logs come in: many in one statement, each once, whatever is sent again."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from pavo.kit.sql import Database

LOG_CHANNEL: Final = "job-logs:"
"""What stands before a job's id in the name of the Redis channel on which new lines are announced: "EPOCH-SEQ" of the
last one, after its commit. A hint: who misses it reads PostgreSQL."""


def log_channel(job_id: object) -> str:
    """The Redis channel that tells of new lines of a job's log."""
    return f"{LOG_CHANNEL}{job_id}"


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line, checked: it holds nothing that PostgreSQL does not store."""

    job_id: uuid.UUID
    epoch: int
    seq: int
    at_ms: int
    """Since 1970, by the agent's clock."""
    stage: str
    level: str
    source: str
    event: str | None
    """JSON object."""
    gap: int
    text: str


_INSERT: Final = """
WITH given AS (
    SELECT * FROM unnest(
        %(jobs)s::uuid[], %(epochs)s::bigint[], %(seqs)s::bigint[], %(at)s::bigint[], %(stages)s::text[],
        %(levels)s::text[], %(sources)s::text[], %(events)s::text[], %(gaps)s::bigint[], %(texts)s::text[]
    ) AS g (job_id, epoch, seq, at_ms, stage, level, source, event, gap, text)
), put AS (
    INSERT INTO job_logs (job_id, epoch, seq, at, stage, level, source, event, gap, text)
    SELECT job_id, epoch, seq, to_timestamp(at_ms / 1000.0), stage, level, source, event::jsonb, gap, text FROM given
    WHERE EXISTS (SELECT 1 FROM jobs j WHERE j.id = given.job_id AND j.deleted_at IS NULL)
    ON CONFLICT (job_id, epoch, seq) DO NOTHING
    RETURNING job_id, epoch, seq
), added AS (
    SELECT job_id, epoch, min(seq) AS first_seq, max(seq) AS last_seq FROM (
        SELECT put.*, seq - row_number() OVER (PARTITION BY job_id, epoch ORDER BY seq) AS run FROM put
    ) AS numbered GROUP BY job_id, epoch, run
), noted AS (
    INSERT INTO job_log_additions (organisation_id, xid, at, job_id, epoch, first_seq, last_seq)
    SELECT j.organisation_id, pg_current_xact_id()::text::bigint, pavo_now(), a.job_id, a.epoch, a.first_seq, a.last_seq
    FROM added a JOIN jobs j ON j.id = a.job_id ORDER BY a.job_id, a.epoch, a.first_seq
)
SELECT count(*) FROM put
"""
"""What was new of it is noted for those who watch the organisation, a row for each run of numbers: one in general."""
_HEARD: Final = text("""
UPDATE jobs SET heard_at = pavo_now() WHERE id IN (
    SELECT j.id FROM jobs j JOIN unnest(CAST(:jobs AS uuid[]), CAST(:epochs AS bigint[])) AS given (job, epoch)
        ON j.id = given.job AND j.epoch = given.epoch
    ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED
)
""")


async def add_lines(database: Database, lines: Sequence[NewLine]) -> int:
    """Store lines in one statement; how many of them were new. Those of a job that is gone are dropped.

    Raises:
        Unavailable: PostgreSQL is away.
        psycopg.Error: it refuses a value.
    """
    # Of a line that is there twice the first one says how much is missing before it, and a statement knows no order.
    first: dict[tuple[uuid.UUID, int, int], NewLine] = {}
    for each in lines:
        first.setdefault((each.job_id, each.epoch, each.seq), each)
    lines = list(first.values())
    values = {
        "jobs": [each.job_id for each in lines],
        "epochs": [each.epoch for each in lines],
        "seqs": [each.seq for each in lines],
        "at": [each.at_ms for each in lines],
        "stages": [each.stage for each in lines],
        "levels": [each.level for each in lines],
        "sources": [each.source for each in lines],
        "events": [each.event for each in lines],
        "gaps": [each.gap for each in lines],
        "texts": [each.text for each in lines],
    }
    rows = await database.kept.rows(_INSERT, values)
    return int(rows[0][0])


async def heard(database: Database, attempts: Sequence[tuple[uuid.UUID, int]]) -> None:
    """Something came of these attempts, (job, epoch); of one that does not hold its job nothing is noted, and of a row
    that somebody else writes at this moment it is noted with the next lines."""
    values = {"jobs": [job for job, _ in attempts], "epochs": [epoch for _, epoch in attempts]}
    async with database.transaction() as session:
        await session.execute(_HEARD, values)
