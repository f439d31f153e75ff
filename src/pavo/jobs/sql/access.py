"""How the repository of a job is reached by an attempt that holds it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.domain import replaced_branch
from pavo.jobs.sql import IN_PROGRESS
from pavo.runs.fence import Fence


@dataclass(frozen=True, slots=True)
class RepositoryAccess:
    """How the repository of an attempt that holds its job is reached."""

    organisation_id: uuid.UUID
    clone_url: str
    forge_url: str
    credential: str | None
    """Name of the organisation's secret; None: none is needed."""
    username: str
    branches: tuple[str, ...] = ()
    """Those that the attempt may push to."""


_ACCESS: Final = text(f"""
SELECT j.organisation_id, j.branch, r.clone_url, r.forge_url, r.credential, r.username
FROM jobs j JOIN repositories r ON r.id = j.repository_id
WHERE j.id = :job AND j.epoch = :epoch AND j.lease_until > pavo_now()
    AND j.stage IN {IN_PROGRESS}
""")


async def repository_access(session: AsyncSession, held: HeldJob) -> RepositoryAccess | None:
    """How the attempt reaches its repository; None: it does not hold its job, or its lease has run out."""
    row = (await session.execute(_ACCESS, {"job": held.job_id, "epoch": held.epoch})).one_or_none()
    if row is None:
        return None
    where = (row.clone_url, row.forge_url, row.credential, row.username)
    branches = (row.branch, replaced_branch(row.branch, held.epoch))
    return RepositoryAccess(row.organisation_id, *where, branches)


@dataclass(frozen=True, slots=True)
class FileOwner:
    """Whose the files of an attempt are."""

    organisation_id: uuid.UUID
    holds: bool
    """Whether the attempt holds the job."""


_FILES: Final = text("""
SELECT j.organisation_id, j.epoch = :epoch AS holds FROM jobs j
WHERE j.id = :job AND j.deleted_at IS NULL AND EXISTS (SELECT 1 FROM timelines t WHERE t.id = j.id)
""")


_BEGUN: Final = text("SELECT epoch, begun_at FROM job_attempts WHERE job_id = :job ORDER BY epoch")


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt, and when it began."""

    epoch: int
    at: datetime


_HAS_BEGUN: Final = text("""
SELECT (generation, transition) >= (:generation, :transition) FROM jobs WHERE id = :job
""")


async def has_begun(session: AsyncSession, held: HeldJob, fence: Fence) -> bool:
    """Whether the write of this number, or a later one, is there."""
    values = {"job": held.job_id, "generation": fence.generation, "transition": fence.transition}
    return bool((await session.execute(_HAS_BEGUN, values)).scalar_one_or_none())


_BEGUN_BY: Final = text("""
SELECT agent, extract(epoch FROM pavo_now() - begun_at)::float8 AS seconds FROM job_attempts
WHERE job_id = :job AND epoch = :epoch
""")


@dataclass(frozen=True, slots=True)
class BegunBy:
    """Whose attempt it is, and how long it has taken."""

    agent: str
    seconds: float


async def begun_by(session: AsyncSession, held: HeldJob) -> BegunBy | None:
    """Of this attempt; None: there is none."""
    row = (await session.execute(_BEGUN_BY, {"job": held.job_id, "epoch": held.epoch})).one_or_none()
    return None if row is None else BegunBy(row.agent, row.seconds)


async def begun(session: AsyncSession, job_id: uuid.UUID) -> Sequence[Begun]:
    """The attempts at a job, the first one first."""
    rows = await session.execute(_BEGUN, {"job": job_id})
    return [Begun(row.epoch, row.begun_at) for row in rows]


async def file_owner(session: AsyncSession, held: HeldJob) -> FileOwner | None:
    """Whose the files of this attempt are; None: its job is gone."""
    row = (await session.execute(_FILES, {"job": held.job_id, "epoch": held.epoch})).one_or_none()
    return None if row is None else FileOwner(row.organisation_id, row.holds)
