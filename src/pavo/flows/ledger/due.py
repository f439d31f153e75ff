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
_PARENT: Final = "SELECT parent_id FROM flow_runs WHERE id = :run"
_OWNERS: Final = "SELECT id, organisation_id FROM flow_runs WHERE id = ANY(:ids) AND deleted_at IS NULL"


async def census(session: AsyncSession) -> Mapping[str, int]:
    """How many runs there are in each state; states without any at 0."""
    rows = await session.execute(text(_CENSUS))
    return dict.fromkeys((WAITING, RUNNING, HANDING_OVER, *OVER), 0) | {each[0]: each[1] for each in rows}


async def states(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """In which states these runs are; those that are gone are left out."""
    rows = await session.execute(text(_STATES), {"ids": list(run_ids)})
    return {each[0]: each[1] for each in rows}


async def parent_of(session: AsyncSession, run_id: uuid.UUID) -> uuid.UUID | None:
    """The run whose step this one is; None: nobody's."""
    found: uuid.UUID | None = (await session.execute(text(_PARENT), {"run": run_id})).scalar_one_or_none()
    return found


async def owners(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
    """Whose runs these are; those that are gone are left out."""
    rows = await session.execute(text(_OWNERS), {"ids": list(run_ids)})
    return {each[0]: each[1] for each in rows}


_OPEN: Final = """
SELECT id, flow, hash, engine, state, epoch, seq, holder IS NOT NULL AS held, program,
    extract(epoch FROM pavo_now() - lease_until) AS expired
FROM flow_runs
WHERE organisation_id = :organisation AND state IN ('waiting', 'running', 'handing_over') AND deleted_at IS NULL
  AND created_at < pavo_now() - make_interval(secs => :settled)
  AND (engine = 'temporal' OR (
    (lease_until IS NULL OR lease_until < pavo_now() - make_interval(secs => :settled))
    AND (paused_at IS NULL OR cancel_asked_at IS NOT NULL)
    AND (wake_at IS NULL OR wake_at < pavo_now() - make_interval(secs => :settled))
  ))
ORDER BY id LIMIT :most
"""
_STANDING: Final = """
SELECT id, flow, engine, epoch, state,
    state IN ('succeeded', 'failed', 'cancelled') AND ended_at < pavo_now() - make_interval(secs => :settled) AS is_over
FROM flow_runs WHERE organisation_id = :organisation AND id = ANY(:ids)
"""
_TEXTS: Final = """
SELECT hash, definition FROM flow_versions WHERE organisation_id = :organisation AND hash = ANY(:hashes)
"""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that is not over, and that either Temporal has or nobody."""

    run_id: uuid.UUID
    flow: str
    hash: str
    engine: str
    state: str
    epoch: int
    seq: int
    held: bool
    program: str | None
    expired_seconds: float | None
    """Since its lease is over; None: it has none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the row of a run is."""

    run_id: uuid.UUID
    flow: str
    engine: str
    epoch: int
    state: str
    is_over: bool
    """For long enough that its workflow has ended as well."""


async def open_runs(
    session: AsyncSession, organisation_id: uuid.UUID, settled_seconds: float, most: int
) -> Sequence[OpenRun]:
    """Runs of an organisation that Temporal has, and those of local engines that are due and have nobody, all of them
    for so long; the oldest first."""
    asked = {"organisation": organisation_id, "settled": settled_seconds, "most": most}
    rows = await session.execute(text(_OPEN), asked)
    return [
        OpenRun(
            each.id,
            each.flow,
            each.hash,
            each.engine,
            each.state,
            each.epoch,
            each.seq,
            each.held,
            each.program,
            None if each.expired is None else float(each.expired),
        )
        for each in rows
    ]


async def standing(
    session: AsyncSession, organisation_id: uuid.UUID, run_ids: Sequence[uuid.UUID], settled_seconds: float
) -> Sequence[Standing]:
    """Where these runs are; others' are left out."""
    asked = {"organisation": organisation_id, "ids": list(run_ids), "settled": settled_seconds}
    return [Standing(*each) for each in await session.execute(text(_STANDING), asked)]


async def texts(session: AsyncSession, organisation_id: uuid.UUID, hashes: Sequence[str]) -> Mapping[str, str]:
    """What these versions say, by hash."""
    rows = await session.execute(text(_TEXTS), {"organisation": organisation_id, "hashes": list(hashes)})
    return {each[0]: each[1] for each in rows}
