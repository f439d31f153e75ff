"""Claims: one statement gives one queued job to one free agent, and an attempt begins.

A statement sees the rows as they were when it began, but locks them as they are: what it counted (jobs of an agent, of
an organisation) may be out of date by then. So queues and agents have a number that grows with every claim, and a row
is taken only while its number is the one that was seen. Nobody ever waits for a lock: what another claim holds is
passed over, so claims cannot deadlock.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString, Protocol

from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.sql import IN_PROGRESS
from pavo.timeline.domain import Event, numbered

CONNECTED: Final = "a.online AND NOT a.draining AND NOT a.drain_asked AND a.queue IS NOT NULL"
AVAILABLE: Final = f"{CONNECTED} AND (a.rests_until IS NULL OR a.rests_until <= pavo_now())"
QUEUED: Final = "j.stage = 'QUEUED' AND j.deleted_at IS NULL"
FIRST: Final = "j.program, j.labels, (j.kind <> 'rework'), j.rank, j.id LIMIT 1"
ABLE: Final = "f.labels @> j.labels AND j.program = ANY (f.programs)"

_BEGIN: Final = """, taken AS (
    UPDATE jobs j SET
        stage = 'CLAIMED', epoch = j.epoch + 1, attempts = j.attempts + 1, agent_id = agent.id,
        lease_until = pavo_now() + make_interval(secs => %(lease)s), claimed_at = pavo_now(), heard_at = pavo_now(),
        updated_at = pavo_now(), ended_at = NULL, error = NULL, outcome = NULL,
        temporal_workflow_id = %(prefix)s || j.id || ':' || (j.epoch + 1), temporal_run_id = NULL,
        generation = j.epoch + 1, transition = 0
    FROM job, agent WHERE j.id = job.id
    RETURNING j.id, j.organisation_id, j.epoch, j.agent_id, agent.name
), served AS (
    UPDATE job_queues q SET
        served_at = pavo_instant(), claims = q.claims + 1,
        turn = greatest(q.turn + 1, (SELECT max(turn) FROM seen) - %(behind)s)
    FROM taken t WHERE q.organisation_id = t.organisation_id
), given AS (
    UPDATE remote_agents a SET claims = a.claims + 1 FROM taken t WHERE a.id = t.agent_id
), begun AS (
    INSERT INTO job_attempts (job_id, epoch, agent_id, agent) SELECT id, epoch, agent_id, name FROM taken
)
SELECT t.id, t.organisation_id, t.epoch, t.agent_id, t.name, e.first_seq, e.at, false AS contended
FROM taken t CROSS JOIN LATERAL timeline_append(t.id, jsonb_build_array(
    jsonb_build_object('type', 'claimed', 'epoch', t.epoch, 'agent_id', t.agent_id, 'agent', t.name),
    jsonb_build_object('type', 'stage', 'stage', 'CLAIMED')
)) e
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NOT EXISTS (SELECT FROM taken) AND EXISTS (SELECT FROM turns)
"""
"""The attempt begins: of what was locked as `queue`, `job` and `agent`."""


_CHOOSE: Final = f"""), turns AS (
    SELECT s.organisation_id, s.claims, s.running, head.id AS job_id FROM seen s CROSS JOIN LATERAL (
        WITH RECURSIVE heads AS (
            (SELECT j.id, j.program, j.labels, j.kind, j.rank FROM jobs j
             WHERE j.organisation_id = s.organisation_id AND {QUEUED} ORDER BY {FIRST})
            UNION ALL
            SELECT n.* FROM heads h CROSS JOIN LATERAL (
                SELECT j.id, j.program, j.labels, j.kind, j.rank FROM jobs j
                WHERE j.organisation_id = s.organisation_id AND {QUEUED}
                    AND (j.program, j.labels) > (h.program, h.labels)
                ORDER BY {FIRST}
            ) n
        )
        SELECT j.id FROM heads j WHERE EXISTS (SELECT FROM free f WHERE {ABLE})
        ORDER BY (j.kind <> 'rework'), j.rank, j.id LIMIT 1
    ) head
), queue AS MATERIALIZED (
    SELECT t.job_id FROM turns t CROSS JOIN LATERAL (
        SELECT FROM job_queues q
        WHERE q.organisation_id = t.organisation_id AND q.claims = t.claims AND q.paused_at IS NULL
            AND t.running < q.at_once
        FOR UPDATE OF q SKIP LOCKED
    ) l LIMIT 1
), job AS MATERIALIZED (
    SELECT l.* FROM queue q CROSS JOIN LATERAL (
        SELECT j.id, j.labels, j.program FROM jobs j WHERE j.id = q.job_id AND {QUEUED} FOR UPDATE OF j SKIP LOCKED
    ) l
), able AS MATERIALIZED (
    SELECT f.id, f.claims, f.busy, j.labels, j.program FROM job j JOIN free f ON {ABLE}
    ORDER BY f.busy, cardinality(f.labels), random()
), agent AS MATERIALIZED (
    SELECT l.* FROM able j CROSS JOIN LATERAL (
        SELECT a.id, a.name FROM remote_agents a
        WHERE a.id = j.id AND a.claims = j.claims AND {AVAILABLE} AND j.busy < a.capacity
            AND a.labels @> j.labels AND j.program = ANY (a.programs)
        FOR UPDATE OF a SKIP LOCKED
    ) l LIMIT 1
)"""
"""Of the queues that were `seen` in their order, and of agents that are `free`, which are locked: rows are locked by
their keys, in the order of the list before, and no further than the first one that can be. A sort above a lock would
lock every row."""


def _take(agents: LiteralString, mine: LiteralString) -> LiteralString:
    # What jobs want is found by steps over `ix_jobs_wanted`, one for each organisation, and in one of them for each
    # program and labels that anybody waits for, never by going through jobs.
    return f"""
WITH RECURSIVE held AS MATERIALIZED (
    SELECT j.organisation_id, j.agent_id FROM jobs j WHERE {mine} AND j.stage IN {IN_PROGRESS}
), free AS MATERIALIZED (
    SELECT a.id, a.labels, a.programs, a.claims, coalesce(n.busy, 0) AS busy
    FROM remote_agents a LEFT JOIN (
        SELECT h.agent_id, count(*) AS busy FROM held h GROUP BY h.agent_id
    ) n ON n.agent_id = a.id
    WHERE {agents} AND {AVAILABLE} AND coalesce(n.busy, 0) < a.capacity
), waiting AS (
    (SELECT j.organisation_id FROM jobs j WHERE {mine} AND {QUEUED} AND EXISTS (SELECT FROM free)
     ORDER BY j.organisation_id, {FIRST})
    UNION ALL
    SELECT n.organisation_id FROM waiting w CROSS JOIN LATERAL (
        SELECT j.organisation_id FROM jobs j WHERE {mine} AND {QUEUED} AND j.organisation_id > w.organisation_id
        ORDER BY j.organisation_id, {FIRST}
    ) n
), seen AS MATERIALIZED (
    SELECT q.organisation_id, q.claims, q.turn, coalesce(n.running, 0) AS running
    FROM waiting w JOIN job_queues q ON q.organisation_id = w.organisation_id LEFT JOIN (
        SELECT h.organisation_id, count(*) AS running FROM held h GROUP BY h.organisation_id
    ) n ON n.organisation_id = w.organisation_id
    WHERE q.paused_at IS NULL AND coalesce(n.running, 0) < q.at_once
    ORDER BY q.turn, q.served_at, q.organisation_id
{_CHOOSE}{_BEGIN}"""


_OF_ORGANISATION: Final = _take("a.organisation_id = %(organisation)s", "j.organisation_id = %(organisation)s")
_OF_ALL: Final = _take("a.organisation_id IS NULL", "true")


class Statements(Protocol):
    """`pavo.kit.sql.KeptConnections`: each statement is its own transaction."""

    async def rows(self, statement: LiteralString, values: dict[str, Any], /) -> list[tuple[Any, ...]]:
        """Run one, with psycopg's named placeholders; its rows."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that was given to an agent, and is committed."""

    job_id: uuid.UUID
    organisation_id: uuid.UUID
    epoch: int
    agent_id: uuid.UUID
    recorded: Sequence[Event]
    """To be published."""


BEHIND: Final = 2
"""So many turns a queue may catch up: those that it was passed over for because others held its row. What it missed
while it had no job, or was paused, is no debt."""
CONTENDED: Final = "contended"
"""Another claim held what this one could have had: try again."""


async def take(statements: Statements, organisation_id: uuid.UUID | None) -> Claim | str | None:
    """Give one queued job to one free agent, for a lease of `domain.LEASE_SECONDS`.

    Rework comes before backlog, then the lower rank; of jobs that no free agent can do, the next is looked at. A paused
    queue, or one with as many jobs in progress as it may have, gives none. Of free agents the one with the fewest jobs
    and labels gets it.

    Args:
        statements: a statement must be a transaction of its own: its locks hold up every other claim.
        organisation_id: whose jobs and whose own agents; None: agents that serve all organisations, and the jobs of
            the organisation that has waited longest.

    Returns:
        None: nothing can be given; CONTENDED: not at this moment.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    values: dict[str, Any] = {"lease": d.LEASE_SECONDS, "prefix": d.WORKFLOW_PREFIX, "behind": BEHIND}
    if organisation_id is None:
        rows = await statements.rows(_OF_ALL, values)
    else:
        rows = await statements.rows(_OF_ORGANISATION, {**values, "organisation": organisation_id})
    row = rows[0]
    if row[0] is None:
        return CONTENDED if row[-1] else None
    job_id, organisation, epoch, agent_id, name, first_seq, at, _ = row
    told = [events.claimed(epoch, agent_id, name), events.stage(d.CLAIMED)]  # as the statement has written them
    return Claim(job_id, organisation, epoch, agent_id, numbered(job_id, first_seq, at, told))
