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
from pavo.timeline.domain import Event, numbered

_IN_PROGRESS: Final = "('CLAIMED', 'PREPARING', 'EXECUTING', 'VERIFYING', 'PUBLISHING', 'CLEANING')"
_AVAILABLE: Final = "a.online AND NOT a.draining AND NOT a.drain_asked AND a.queue IS NOT NULL"
_RUNNABLE: Final = """
    j.organisation_id = q.organisation_id AND j.stage = 'QUEUED' AND j.deleted_at IS NULL
      AND EXISTS (SELECT FROM free f WHERE f.labels @> j.labels AND j.program = ANY (f.programs))"""
_HAS_TURN: Final = f"""
    q.organisation_id = s.organisation_id AND q.paused_at IS NULL
      AND (SELECT count(*) FROM jobs j WHERE j.organisation_id = q.organisation_id AND j.stage IN {_IN_PROGRESS})
          < q.at_once
      AND EXISTS (SELECT FROM jobs j WHERE {_RUNNABLE})"""


_BEGIN: Final = f""", taken AS (
    UPDATE jobs j SET
        stage = 'CLAIMED', epoch = j.epoch + 1, attempts = j.attempts + 1, agent_id = agent.id,
        lease_until = pavo_now() + make_interval(secs => %(lease)s), claimed_at = pavo_now(), heard_at = pavo_now(),
        updated_at = pavo_now(), ended_at = NULL, error = NULL, outcome = NULL,
        temporal_workflow_id = %(prefix)s || j.id || ':' || (j.epoch + 1), temporal_run_id = NULL,
        generation = j.epoch + 1, transition = 0
    FROM job, agent WHERE j.id = job.id
    RETURNING j.id, j.organisation_id, j.epoch, j.agent_id, agent.name
), served AS (
    UPDATE job_queues q SET served_at = pavo_instant(), claims = q.claims + 1
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
    CASE WHEN EXISTS (SELECT FROM taken) THEN false
    ELSE EXISTS (SELECT FROM seen s JOIN job_queues q ON {_HAS_TURN}) END
"""
"""The attempt begins: of what was locked as `queue`, `job` and `agent`."""


def _take(agents: LiteralString, queues: LiteralString) -> LiteralString:
    # `seen` is read in its order by the nested loop over it, and no further than the first queue that can be locked: a
    # sort above the lock would lock every queue.
    return f"""
WITH free AS MATERIALIZED (
    SELECT a.id, a.labels, a.programs, a.claims, n.busy
    FROM remote_agents a CROSS JOIN LATERAL (
        SELECT count(*) AS busy FROM jobs j WHERE j.agent_id = a.id AND j.stage IN {_IN_PROGRESS}
    ) n
    WHERE {agents} AND {_AVAILABLE} AND n.busy < a.capacity
), seen AS MATERIALIZED (
    SELECT q.organisation_id, q.claims FROM job_queues q
    WHERE {queues} AND q.paused_at IS NULL AND EXISTS (SELECT FROM free)
    ORDER BY q.served_at, q.organisation_id
), queue AS MATERIALIZED (
    SELECT l.organisation_id FROM seen s CROSS JOIN LATERAL (
        SELECT q.organisation_id FROM job_queues q WHERE q.claims = s.claims AND {_HAS_TURN}
        FOR UPDATE OF q SKIP LOCKED
    ) l LIMIT 1
), job AS MATERIALIZED (
    SELECT l.* FROM queue q CROSS JOIN LATERAL (
        SELECT j.id, j.labels, j.program FROM jobs j WHERE {_RUNNABLE}
        ORDER BY (j.kind <> 'rework'), j.rank, j.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED
    ) l
), agent AS MATERIALIZED (
    SELECT l.* FROM job j CROSS JOIN LATERAL (
        SELECT a.id, a.name FROM free f JOIN remote_agents a ON a.id = f.id
        WHERE a.claims = f.claims AND {_AVAILABLE} AND f.busy < a.capacity
          AND a.labels @> j.labels AND j.program = ANY (a.programs)
        ORDER BY f.busy, cardinality(f.labels), f.id LIMIT 1 FOR UPDATE OF a SKIP LOCKED
    ) l
){_BEGIN}"""


_OF_ORGANISATION: Final = _take("a.organisation_id = %(organisation)s", "q.organisation_id = %(organisation)s")
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
    values: dict[str, Any] = {"lease": d.LEASE_SECONDS, "prefix": d.WORKFLOW_PREFIX}
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
