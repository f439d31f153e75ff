"""Runs of which somebody has to be told: written, and not begun; answered or cancelled, and not looked at."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.flows.ledger.records import HANDING_OVER, OVER, RUNNING, WAITING

AT_ONCE: Final = 200
_DUE: Final = """
SELECT id, epoch, holder IS NOT NULL, extract(epoch FROM pavo_now() - created_at)
FROM flow_runs
WHERE engine = 'temporal' AND state IN ('waiting', 'running')
  AND (wake_at IS NULL OR wake_at <= pavo_now() - make_interval(secs => :settled))
  AND program IS NOT DISTINCT FROM :program
ORDER BY id LIMIT :most
"""
_HANDING_OVER: Final = """
SELECT id, epoch FROM flow_runs
WHERE engine = 'local' AND state = 'handing_over' AND (lease_until IS NULL OR lease_until <= pavo_now())
  AND program IS NOT DISTINCT FROM :program
ORDER BY id LIMIT :most
"""
_FALLEN_BACK: Final = """
SELECT id FROM flow_runs
WHERE engine = 'local' AND state IN ('waiting', 'running') AND fallback
  AND program IS NOT DISTINCT FROM :program
ORDER BY id LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class DueRun:
    """A run of Temporal's that is to be begun, or looked at."""

    run_id: uuid.UUID
    epoch: int
    is_begun: bool
    """Its workflow has claimed it."""
    age_seconds: float


async def due(session: AsyncSession, settled_seconds: float, program: str | None = None) -> Sequence[DueRun]:
    """Temporal's runs that are to be begun or looked at, the oldest first.

    Args:
        settled_seconds: so long its workflow's own timer has had to do it.
        program: whose runs; None: the workers'.
    """
    asked = {"settled": settled_seconds, "most": AT_ONCE, "program": program}
    rows = await session.execute(text(_DUE), asked)
    return [DueRun(each[0], each[1], each[2], float(each[3])) for each in rows]


async def handing_over(session: AsyncSession, program: str | None = None) -> Sequence[tuple[uuid.UUID, int]]:
    """Runs that no local engine holds any more, and their epochs: Temporal may have them."""
    rows = await session.execute(text(_HANDING_OVER), {"most": AT_ONCE, "program": program})
    return [(each.id, each.epoch) for each in rows]


async def fallen_back(session: AsyncSession, program: str | None = None) -> Sequence[uuid.UUID]:
    """Runs that began on the local engine because Temporal was away."""
    return (await session.scalars(text(_FALLEN_BACK), {"most": AT_ONCE, "program": program})).all()


_BEGUN: Final = """
SELECT id, epoch, seq FROM flow_runs
WHERE engine = 'temporal' AND state = 'running' AND created_at < pavo_now() - make_interval(secs => :age)
  AND (CAST(:last AS uuid) IS NULL OR id > :last)
ORDER BY id LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A run that a workflow has claimed."""

    run_id: uuid.UUID
    epoch: int
    seq: int


async def begun(session: AsyncSession, age_seconds: float, last: uuid.UUID | None) -> Sequence[BegunRun]:
    """Temporal's runs that are under way and this old, behind the last of the page before."""
    rows = await session.execute(text(_BEGUN), {"age": age_seconds, "last": last, "most": AT_ONCE})
    return [BegunRun(each.id, each.epoch, each.seq) for each in rows]


_CENSUS: Final = "SELECT state, count(*) FROM flow_runs WHERE deleted_at IS NULL GROUP BY state"
_STATES: Final = "SELECT id, state FROM flow_runs WHERE id = ANY(:ids) AND deleted_at IS NULL"
_OWNERS: Final = "SELECT id, organisation_id FROM flow_runs WHERE id = ANY(:ids) AND deleted_at IS NULL"


async def census(session: AsyncSession) -> Mapping[str, int]:
    """How many runs there are in each state; states without any at 0."""
    rows = await session.execute(text(_CENSUS))
    return dict.fromkeys((WAITING, RUNNING, HANDING_OVER, *OVER), 0) | {each[0]: each[1] for each in rows}


async def states(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """In which states these runs are; those that are gone are left out."""
    rows = await session.execute(text(_STATES), {"ids": list(run_ids)})
    return {each[0]: each[1] for each in rows}


async def owners(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
    """Whose runs these are; those that are gone are left out."""
    rows = await session.execute(text(_OWNERS), {"ids": list(run_ids)})
    return {each[0]: each[1] for each in rows}
