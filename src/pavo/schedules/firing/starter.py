"""Deciding what a schedule has due, and beginning it: see `starts.beginning`.

A firing is a row first, in whichever way its time came. Under the lock of its schedule it is decided about, and is
`starting` with what it starts.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.schedules import domain as d
from pavo.schedules.firing import ledger
from pavo.schedules.models import FiringRow
from pavo.starts.beginning import Beginning
from pavo.starts.firings import DUE, SKIPPED, STARTED, STARTING
from pavo.works.work import Work

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Firings of a schedule that are begun one after the other before others have their turn."""


@dataclass(frozen=True, slots=True)
class _Next:
    begin: FiringRow | None = None
    stop: Sequence[FiringRow] = ()
    without_waiting: bool = False
    waits: bool = False
    organisation_id: uuid.UUID | None = None


class Starter:
    """Begins what schedules have due.

    Args:
        works: what can be started, by kind.
    """

    def __init__(self, database: Database, works: Mapping[str, Work]) -> None:
        self._database = database
        self._beginning = Beginning(database, works, ledger.FIRINGS, LEFT)

    async def advance(self, schedule_id: uuid.UUID) -> bool:
        """Begin what may begin now; whether something is left, which waits.

        Raises:
            Unavailable: something is away; whoever comes next goes on.
        """
        for _ in range(AT_ONCE):
            await self.note_ends(schedule_id)
            found = await self._next(schedule_id)
            if found.begin is not None:
                await self._begin(found.begin, found.organisation_id)
                continue
            for each in found.stop:
                await self._beginning.stop(each, found.organisation_id)
            if not found.without_waiting:
                return found.waits
            async with self._database.transaction() as session:
                await ledger.FIRINGS.ended(session, {each.id: "TERMINATED" for each in found.stop})
        return True

    async def note_ends(self, schedule_id: uuid.UUID) -> None:
        """See which of what the schedule has started is over.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._database.reading() as session:
            rows = await ledger.open_(session, schedule_id)
        await self._beginning.note_ends(rows)

    async def _next(self, schedule_id: uuid.UUID) -> _Next:
        async with self._database.transaction() as session:
            schedule = await ledger.locked(session, schedule_id)
            if schedule is None:
                return _Next()
            organisation_id = schedule.organisation_id
            starting = await ledger.in_state(session, schedule_id, STARTING, 1)
            if starting:
                return _Next(starting[0], organisation_id=organisation_id)
            rows = await ledger.in_state(session, schedule_id, DUE)
            if schedule.deleted_at is not None:
                for row in rows:
                    await ledger.FIRINGS.skip(session, row.id, "the schedule was deleted")
                return _Next()
            before = await ledger.open_(session, schedule_id)
            decision = d.decide([d.Due(row.id, row.nominal_at, _overlap(row)) for row in rows], _busy(before))
            for firing_id, why in decision.skip:
                await ledger.FIRINGS.skip(session, firing_id, why)
                metrics.FIRINGS.add(SKIPPED)
            await ledger.tell(session, decision.waits, f"{_busy(before)}: it begins after that")
            says = (schedule.kind, schedule.body, schedule.acts_for)
            begin = decision.begin and await ledger.FIRINGS.begin(session, decision.begin, *says)
            stop = before if decision.stop and begin is None else ()
            return _Next(begin, stop, decision.without_waiting, bool(decision.waits), organisation_id)

    async def _begin(self, firing: FiringRow, organisation_id: uuid.UUID | None) -> None:
        found = await self._beginning.begin(firing, organisation_id)
        if found is None:
            return
        metrics.FIRINGS.add(found.state)
        if found.state == STARTED and found.at is not None and firing.reason in (d.BY_SCHEDULE, d.CAUGHT_UP):
            metrics.FIRING_LATENESS.observe(max(0.0, (found.at - firing.nominal_at).total_seconds()))


LEFT: Final = (
    "Who changed the schedule last is no member of the organisation any more. Change the schedule, and it acts for you."
)


def _overlap(row: FiringRow) -> d.Overlap:
    found: d.Overlap = row.overlap  # pyright: ignore[reportAssignmentType] - the table takes nothing else
    return found


def _busy(before: Sequence[FiringRow]) -> str:
    if not before:
        return ""
    more = f" and {len(before) - 1} more" if len(before) > 1 else ""
    return f"{before[-1].kind} {before[-1].subject_id}{more} of an earlier time is still open"
