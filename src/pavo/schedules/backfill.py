"""Back-fills: times of the past that are to start now. People see exactly which, and name what they saw."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.errors import Conflict, InvalidInput, TooLarge
from pavo.kit.clock import iso, moment_or_age
from pavo.kit.sql import Database, time_of
from pavo.schedules import domain as d
from pavo.schedules import repository
from pavo.schedules.firing import ledger
from pavo.schedules.firing.starter import Starter
from pavo.schedules.models import FiringRow, ScheduleRow
from pavo.schedules.schemas import BackfillIn
from pavo.schedules.service import theirs
from pavo.schedules.times.compiled import compiled
from pavo.schedules.times.computing import is_one, upcoming
from pavo.schedules.times.spec import TimesSpec
from pavo.starts.firings import FAILED, SKIPPED, STARTED

MAX_TIMES: Final = 1_000
"""Of one back-fill."""
LOOKED_AT: Final = 50_000
"""Times of the schedule among which those are."""
_WENT_WRONG: Final = ("FAILED", "STOPPED", "CANCELLED", "TERMINATED", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Backfill:
    """Exactly the times that start, or would start."""

    since: datetime
    until: datetime
    times: Sequence[datetime]
    hash: str
    written: bool


class BackfillService:
    """Shows what a back-fill would start, and has it start."""

    def __init__(self, database: Database, starter: Starter) -> None:
        self._database = database
        self._starter = starter

    async def backfill(self, who: Identity, schedule_id: uuid.UUID, wanted: BackfillIn) -> Backfill:
        """Show the times; where their hash is given, write them down, and workers begin them. Also of a paused one.

        Raises:
            NotFound: unknown, or not theirs.
            InvalidInput, TooLarge: there is nothing between the two moments, or too much.
            Conflict: the times are others than those that were shown.
        """
        await self._starter.note_ends(schedule_id)
        async with self._database.transaction() as session:
            row = theirs(who, await repository.lock(session, schedule_id), schedule_id)
            since, until = _between(wanted, await time_of(session))
            moments, known = await _chosen(session, row, wanted.which, since, until)
            found = _hash(row, moments, wanted, known)
            if wanted.hash is None:
                return Backfill(since, until, moments, found, False)
            if wanted.hash != found:
                remedy = "Look at them once more, and send the new hash."
                raise Conflict("These are not the times that were shown.", field="hash", remedy=remedy)
            new = [moment for moment in moments if moment not in known]
            await ledger.add(session, schedule_id, new, reason=d.BACKFILLED, overlap=wanted.overlap)
            await ledger.again(session, [known[each].id for each in moments if each in known], wanted.overlap)
        return Backfill(since, until, moments, found, True)


def _between(wanted: BackfillIn, now: datetime) -> tuple[datetime, datetime]:
    """The moments that are meant.

    Raises:
        InvalidInput: they are none, or there is nothing between them.
    """
    found = list[datetime]()
    for field, said in (("since", wanted.since), ("until", wanted.until)):
        moment = now if said is None else moment_or_age(said, field=field)
        found.append(min(now, now - moment if isinstance(moment, timedelta) else moment).astimezone(UTC))
    since, until = found
    if since >= until:
        remedy = "Give a moment before `until`, and before now."
        raise InvalidInput("There is nothing between these moments.", field="since", remedy=remedy)
    return since, until


async def _chosen(
    session: AsyncSession, row: ScheduleRow, which: d.Which, since: datetime, until: datetime
) -> tuple[Sequence[datetime], Mapping[datetime, FiringRow]]:
    times = compiled(TimesSpec.model_validate(row.times))
    moments = list[datetime]()
    if since.microsecond == 0 and is_one(times, since):
        moments.append(since)
    for moment in upcoming(times, since, until):
        moments.append(moment)
        if len(moments) > LOOKED_AT:
            raise _too_many(f"more than {LOOKED_AT:,}")
    known = await ledger.at_between(session, row.id, since, until)
    chosen = [moment for moment in moments if _is_wanted(known.get(moment), which)]
    if len(chosen) > MAX_TIMES:
        raise _too_many(f"{len(chosen):,}")
    return chosen, known


def _is_wanted(firing: FiringRow | None, which: d.Which) -> bool:
    """One that is under way is not, whatever is wanted."""
    if firing is None or firing.state == SKIPPED:
        return which in ("missing", "all")
    if firing.state == FAILED or (firing.outcome is not None and firing.outcome in _WENT_WRONG):
        return which in ("failed", "all")
    return which == "all" and firing.state == STARTED and firing.ended_at is not None


def _too_many(count: str) -> TooLarge:
    remedy = f"Take less at once, by since and until: {MAX_TIMES:,} times at most."
    return TooLarge(f"These are {count} times.", field="since", remedy=remedy)


def _hash(
    row: ScheduleRow, moments: Sequence[datetime], wanted: BackfillIn, known: Mapping[datetime, FiringRow]
) -> str:
    """Another one once they were written down: a request that is sent twice has them start once."""
    attempts = [f"{iso(moment)}/{known[moment].attempt if moment in known else 0}" for moment in moments]
    said = [str(row.id), str(row.version), wanted.which, wanted.overlap, *attempts]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
