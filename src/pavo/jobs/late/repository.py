"""SQL of late work: what a lost attempt's agent owes, what came of it, and where it may push to meanwhile."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs import events
from pavo.jobs.contracts import KEEP_LATE_WORK
from pavo.jobs.domain import fenced_branch
from pavo.jobs.late.domain import DECLINED, GONE, KEPT, MAX_REASON, NOTHING, OWED
from pavo.jobs.sql.access import RepositoryAccess
from pavo.jobs.sql.models import JobAttemptRow
from pavo.kit.texts.storable import storable
from pavo.protocol import fleet_pb2 as pb
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event

MAX_OF_ONE: Final = 50
"""Debts of one agent that are looked at at once."""
WORKSPACE_LOST: Final = "WorkspaceLost"
"""Type of an agent's failure: the attempt's worktree is not on its machine."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What an agent owes of an attempt that is over."""

    job_id: uuid.UUID
    epoch: int
    agent_id: uuid.UUID
    late: bool
    """Whether what it has changed is to be kept first; else its worktree is to be removed."""
    tries: int
    """How often keeping it has failed."""


_OWED: Final = text(f"""
SELECT a.* FROM unnest(CAST(:agents AS uuid[]), CAST(:sessions AS bigint[])) AS held (agent_id, session)
CROSS JOIN LATERAL (
    SELECT a.job_id, a.epoch, a.agent_id, a.late_work IS NOT DISTINCT FROM '{OWED}' AS late, t.tries
    FROM job_attempts a CROSS JOIN LATERAL (
        SELECT count(c.ended_at) AS tries, max(c.ended_at) AS last, count(*) > count(c.ended_at) AS sent
        FROM job_commands c WHERE c.job_id = a.job_id AND c.epoch = a.epoch AND c.kind = '{KEEP_LATE_WORK}'
    ) t
    WHERE a.agent_id = held.agent_id AND a.cleanup_owed AND CASE
        WHEN a.late_work IS DISTINCT FROM '{OWED}' OR t.sent OR t.tries = 0
        THEN a.told_session IS DISTINCT FROM held.session
        ELSE t.last < pavo_now() - least(interval '15 seconds' * power(2, least(t.tries, 20)), interval '6 hours') END
    ORDER BY a.begun_at LIMIT {MAX_OF_ONE}
) a
""")


async def owed_by(session: AsyncSession, agents: Mapping[uuid.UUID, int]) -> Sequence[Owed]:
    """What these agents owe and were not told in their sessions: of each the first ones, whatever the others owe.

    Keeping late work that failed is tried again after 30 s, 1 min, … 6 h.

    Args:
        agents: with the numbers of their sessions.
    """
    values = {"agents": list(agents), "sessions": list(agents.values())}
    rows = await session.execute(_OWED, values)
    return [Owed(row.job_id, row.epoch, row.agent_id, row.late, row.tries) for row in rows]


_TOLD: Final = text(f"""
UPDATE job_attempts a SET told_session = t.session FROM unnest(
    CAST(:jobs AS uuid[]), CAST(:epochs AS bigint[]), CAST(:late AS boolean[]), CAST(:sessions AS bigint[])
) AS t (job_id, epoch, late, session)
WHERE a.job_id = t.job_id AND a.epoch = t.epoch AND (a.late_work IS NOT DISTINCT FROM '{OWED}') = t.late
""")


async def note_told(session: AsyncSession, told: Sequence[tuple[Owed, int]]) -> None:
    """These were told in the sessions of these numbers: they are not found there again, and others come up."""
    values = {
        "jobs": [owed.job_id for owed, _ in told],
        "epochs": [owed.epoch for owed, _ in told],
        "late": [owed.late for owed, _ in told],
        "sessions": [number for _, number in told],
    }
    await session.execute(_TOLD, values)


_PUT: Final = text(f"""
INSERT INTO job_commands (id, job_id, epoch, kind, round, request, sent_at)
SELECT :id, job_id, epoch, '{KEEP_LATE_WORK}', 0, :request, pavo_now() FROM job_attempts
WHERE job_id = :job AND epoch = :epoch AND late_work = '{OWED}'
ON CONFLICT (id) DO NOTHING
""")


async def put(session: AsyncSession, owed: Owed, command_id: str, document: bytes) -> None:
    """Write the command that has late work kept; one that is written stays."""
    values = {"id": uuid.UUID(command_id), "job": owed.job_id, "epoch": owed.epoch, "request": document}
    await session.execute(_PUT, values)


_ACCESS: Final = text(f"""
SELECT j.organisation_id, j.branch, r.clone_url, r.forge_url, r.credential, r.username
FROM job_attempts a JOIN jobs j ON j.id = a.job_id JOIN repositories r ON r.id = j.repository_id
WHERE a.job_id = :job AND a.epoch = :epoch AND a.late_work = '{OWED}' AND j.deleted_at IS NULL
""")


async def access(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> RepositoryAccess | None:
    """How a lost attempt pushes what it owes, to its fenced branch alone; None: it owes nothing."""
    row = (await session.execute(_ACCESS, {"job": job_id, "epoch": epoch})).one_or_none()
    if row is None:
        return None
    where = (row.clone_url, row.forge_url, row.credential, row.username)
    return RepositoryAccess(row.organisation_id, *where, branches=(fenced_branch(row.branch, epoch),))


_BEGAN: Final = text("""
SELECT EXISTS (SELECT FROM job_commands WHERE job_id = :job AND epoch = :epoch AND kind = 'start_execution'
    AND (accepted_at IS NOT NULL OR result IS NOT NULL))
""")


async def settle(session: AsyncSession, job_id: uuid.UUID, epoch: int, result: pb.Result) -> Sequence[Event]:
    """What came of having late work kept; to be published after the commit.

    A failure that is not the worktree's absence leaves it owed: it is tried again.
    """
    outcome = result.WhichOneof("outcome")
    if outcome == "published":
        state, reason = (KEPT if result.published.commit else NOTHING), ""
    else:
        failure = result.failure
        state = OWED
        reason = f"{failure.type or outcome}: {failure.cause}"
        if failure.type == WORKSPACE_LOST:
            began = (await session.execute(_BEGAN, {"job": job_id, "epoch": epoch})).scalar_one()
            state, reason = (GONE, failure.cause) if began else (NOTHING, "")
    changed = await _set(session, job_id, epoch, state, storable(reason, MAX_REASON))
    if changed is None or state == OWED:
        return ()
    done = result.published
    told = events.late_work(
        epoch, state, finished=changed, branch=done.branch, commit=done.commit, reason=storable(reason, MAX_REASON)
    )
    return await timeline.append(session, job_id, [told])


async def decline(session: AsyncSession, job_id: uuid.UUID, epoch: int, by: str) -> Sequence[Event]:
    """Nobody wants what a lost attempt has done and its agent has not pushed: that removes it. Once."""
    changed = await _set(session, job_id, epoch, DECLINED, "")
    if changed is None:
        return ()
    return await timeline.append(session, job_id, [events.late_work(epoch, DECLINED, finished=changed, by=by)])


async def _set(session: AsyncSession, job_id: uuid.UUID, epoch: int, state: str, reason: str) -> bool | None:
    """Whether the attempt's program had finished; None: it owes nothing, and nothing changed."""
    mine = (JobAttemptRow.job_id == job_id, JobAttemptRow.epoch == epoch, JobAttemptRow.late_work == OWED)
    values: dict[str, Any] = {"late_work": state, "late_reason": reason}
    if state != OWED:
        values["told_session"] = None  # what is owed now is to be cleaned up
    query = update(JobAttemptRow).where(*mine).values(**values).returning(JobAttemptRow.finished)
    return (await session.execute(query)).scalars().one_or_none()


async def note_adopted(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> None:
    """An attempt's work is the job's."""
    mine = (JobAttemptRow.job_id == job_id, JobAttemptRow.epoch == epoch)
    await session.execute(update(JobAttemptRow).where(*mine).values(adopted_at=func.pavo_now()))
