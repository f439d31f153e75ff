"""Beginning what is due, so that a death between any two lines neither loses nor doubles anything.

A firing is a row first, in whichever way its time came. Under the lock of its schedule it is decided about, and is
`starting` with what it starts; then that is made, under a key that is the firing's own, noted, begun; then it is
`started`. Whoever comes to one that is `starting` goes on with it: the same key makes the same thing.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pavo.accounts.domain import Identity
from pavo.accounts.people import identity_in
from pavo.errors import PavoError, Unavailable
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.schedules import domain as d
from pavo.schedules.firing import ledger
from pavo.schedules.firing.works import GONE, Work
from pavo.schedules.models import FiringRow

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Firings of a schedule that are begun one after the other before others have their turn."""
MAX_TOLD: Final = 1_000
"""Characters of why something failed."""


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
        self._works = works

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
                await self._stop(each, found.organisation_id)
            if not found.without_waiting:
                return found.waits
            async with self._database.transaction() as session:
                await ledger.ended(session, {each.id: "TERMINATED" for each in found.stop})
        return True

    async def note_ends(self, schedule_id: uuid.UUID) -> None:
        """See which of what the schedule has started is over.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._database.reading() as session:
            rows = await ledger.open_(session, schedule_id)
        outcomes = dict[uuid.UUID, str]()
        for kind in {row.kind for row in rows if row.kind in self._works}:
            work = self._works[str(kind)]
            mine = {row.id: row.subject_id for row in rows if row.kind == kind and row.subject_id is not None}
            stages = await work.stages(list(mine.values()))
            found = {firing_id: stages.get(subject, GONE) for firing_id, subject in mine.items()}
            outcomes |= {each: stage for each, stage in found.items() if stage == GONE or work.is_over(stage)}
        if outcomes:
            async with self._database.transaction() as session:
                await ledger.ended(session, outcomes)

    async def _next(self, schedule_id: uuid.UUID) -> _Next:
        async with self._database.transaction() as session:
            schedule = await ledger.locked(session, schedule_id)
            if schedule is None:
                return _Next()
            organisation_id = schedule.organisation_id
            starting = await ledger.in_state(session, schedule_id, d.STARTING, 1)
            if starting:
                return _Next(starting[0], organisation_id=organisation_id)
            rows = await ledger.in_state(session, schedule_id, d.DUE)
            if schedule.deleted_at is not None:
                for row in rows:
                    await ledger.skip(session, row.id, "the schedule was deleted")
                return _Next()
            before = await ledger.open_(session, schedule_id)
            decision = d.decide([d.Due(row.id, row.nominal_at, _overlap(row)) for row in rows], _busy(before))
            for firing_id, why in decision.skip:
                await ledger.skip(session, firing_id, why)
                metrics.FIRINGS.add(d.SKIPPED)
            await ledger.tell(session, decision.waits, f"{_busy(before)}: it begins after that")
            begin = decision.begin and await ledger.begin(session, decision.begin, schedule)
            stop = before if decision.stop and begin is None else ()
            return _Next(begin, stop, decision.without_waiting, bool(decision.waits), organisation_id)

    async def _begin(self, firing: FiringRow, organisation_id: uuid.UUID | None) -> None:
        try:
            late = await self._carry_out(firing, organisation_id)
        except Unavailable:
            raise
        except PavoError as error:
            await self._fail(firing, " ".join(filter(None, (error.detail, error.remedy))))
        except Exception:
            logger.exception("Firing %s of schedule %s failed in an unforeseen way", firing.id, firing.schedule_id)
            await self._fail(firing, f"A fault of Pavo's own; the worker's log tells it of firing {firing.id}.")
        else:
            if late is not None:
                metrics.FIRINGS.add(d.STARTED)
                if firing.reason in (d.BY_SCHEDULE, d.CAUGHT_UP):
                    metrics.FIRING_LATENESS.observe(max(0.0, late))

    async def _carry_out(self, firing: FiringRow, organisation_id: uuid.UUID | None) -> float | None:
        """Seconds after its time; None: somebody else has said that it began."""
        who, work = await self._acting(firing, organisation_id), self._works.get(firing.kind or "")
        if who is None or work is None:
            told = f"No {firing.kind} can be started here." if who else LEFT
            await self._fail(firing, told)
            return None
        subject = firing.subject_id
        if subject is None:
            subject = await work.make(who, firing.body or {}, f"firing:{firing.id}:{firing.attempt}")
            async with self._database.transaction() as session:
                await ledger.note_subject(session, firing.id, firing.attempt, subject)
        await work.begin(who, subject)
        async with self._database.transaction() as session:
            return await ledger.started(session, firing.id, firing.attempt)

    async def _acting(self, firing: FiringRow, organisation_id: uuid.UUID | None) -> Identity | None:
        if firing.acts_for is None or organisation_id is None:
            return None
        async with self._database.reading() as session:
            return await identity_in(session, firing.acts_for, organisation_id)

    async def _fail(self, firing: FiringRow, told: str) -> None:
        async with self._database.transaction() as session:
            wrote = await ledger.failed(session, firing.id, firing.attempt, told[:MAX_TOLD])
        if wrote:
            metrics.FIRINGS.add(d.FAILED)
            logger.warning("Firing %s of schedule %s failed: %s", firing.id, firing.schedule_id, told[:MAX_TOLD])

    async def _stop(self, firing: FiringRow, organisation_id: uuid.UUID | None) -> None:
        who, work = await self._acting(firing, organisation_id), self._works.get(firing.kind or "")
        if who is None or work is None or firing.subject_id is None:
            return
        try:
            await work.stop(who, firing.subject_id)
        except Unavailable:
            raise
        except PavoError as error:  # it is over, or gone: the next look sees that
            logger.info("What firing %s started need not be stopped: %s", firing.id, error)


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
