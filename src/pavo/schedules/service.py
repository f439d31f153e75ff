"""Use cases of schedules: made, changed, paused, triggered, looked at."""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.accounts.people import people_by_id
from pavo.errors import Conflict, InvalidInput, NotFound, PavoError
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database, time_of
from pavo.runs.idempotency import HEADER
from pavo.schedules import domain as d
from pavo.schedules import repository
from pavo.schedules.firing import ledger
from pavo.schedules.firing.starter import Starter
from pavo.schedules.mirror import Mirror
from pavo.schedules.models import FiringRow, ScheduleRow
from pavo.schedules.repository import NewSchedule
from pavo.schedules.schemas import ScheduleCreate, ScheduleEdit
from pavo.schedules.times.compiled import Times, compiled
from pavo.schedules.times.computing import first, following
from pavo.schedules.times.spec import TimesSpec
from pavo.starts.checking import named
from pavo.starts.schemas import StartsIn
from pavo.works.work import Work, acting_in

logger = logging.getLogger(__name__)

MAX_SCHEDULES: Final = 500
"""Of an organisation."""
SHOWN: Final = 10
BEGIN_SECONDS: Final = 10.0
"""For what is triggered to begin before the answer; what takes longer is gone on with by a worker."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule, with what people see beside its row."""

    row: ScheduleRow
    acts_for: str | None
    paused_by: str | None
    next: Sequence[datetime]


class ScheduleService:
    """What people and programs do with schedules. Unknown and foreign ones are the same.

    Args:
        works: what can be started, by kind.
    """

    def __init__(self, database: Database, works: Mapping[str, Work], mirror: Mirror, starter: Starter) -> None:
        self._database = database
        self._works = works
        self._mirror = mirror
        self._starter = starter

    async def create(self, who: Identity, new: ScheduleCreate) -> ScheduleView:
        """Make a schedule.

        Raises:
            InvalidInput, TooLarge: its times, or what it is to start, are none; the field is named.
            NotFound: no such organisation of theirs.
            Conflict: the name is taken, or there are too many.
        """
        organisation_id = who.organisation_id
        if new.organisation_id is not None:
            [organisation_id] = who.of(new.organisation_id)
        kind, body = await self._checked(acting_in(who, organisation_id), new.starts)
        times, overlap, seconds = _kept(new.times), new.overlap, int(new.catch_up.total_seconds())
        values = NewSchedule(organisation_id, new.name, kind, body, times, overlap, seconds, who.user_id)
        async with self._database.transaction() as session:
            _check_times(compiled(new.times), await time_of(session))
            if await repository.count(session, organisation_id) >= MAX_SCHEDULES:
                raise Conflict(f"There are {MAX_SCHEDULES} schedules.", field="name", remedy="Delete one first.")
            schedule_id = await repository.add(session, values)
            if schedule_id is None:
                raise _taken(new.name)
            if new.paused is not None:
                await _pause(session, schedule_id, who, new.paused, await time_of(session))
        await self._mirror.reflect_or_leave(schedule_id)
        return await self.get(who, schedule_id)

    async def get(self, who: Identity, schedule_id: uuid.UUID) -> ScheduleView:
        """One schedule, with its next ten times.

        Raises:
            NotFound: unknown, deleted, or not theirs.
        """
        async with self._database.reading() as session:
            row = theirs(who, await repository.find(session, schedule_id), schedule_id)
            return (await _views(session, [row], SHOWN))[0]

    async def all_of(self, who: Identity, organisation_id: uuid.UUID | None) -> Sequence[ScheduleView]:
        """Those of one organisation, or of all that are theirs, by name.

        Raises:
            NotFound: no such organisation of theirs.
        """
        async with self._database.reading() as session:
            return await _views(session, await repository.all_of(session, who.of(organisation_id)), 1)

    async def change(self, who: Identity, schedule_id: uuid.UUID, edit: ScheduleEdit) -> ScheduleView:
        """Change what is given; times that were due before are not touched by it.

        Raises:
            InvalidInput, TooLarge, NotFound: as `create`.
            Conflict: the name is taken, or another version is current.
        """
        async with self._database.reading() as session:
            row = theirs(who, await repository.find(session, schedule_id), schedule_id)
        values: dict[str, Any] = {"acts_for": who.user_id}
        if edit.starts is not None:
            acting = acting_in(who, row.organisation_id)
            values["kind"], values["body"] = await self._checked(acting, edit.starts)
        if edit.catch_up is not None:
            values["catch_up_seconds"] = int(edit.catch_up.total_seconds())
        values |= {name: getattr(edit, name) for name in ("name", "overlap") if getattr(edit, name) is not None}
        async with self._database.transaction() as session:
            row = theirs(who, await repository.lock(session, schedule_id), schedule_id)
            if edit.version not in (None, row.version):
                remedy = "Look at it, and change that."
                raise Conflict(f"Its version is {row.version} now.", field="version", remedy=remedy)
            if edit.name is not None and await repository.is_taken(session, row, edit.name):
                raise _taken(edit.name)
            if edit.times is not None:
                _check_times(compiled(edit.times), await time_of(session))
                values["times"] = _kept(edit.times)
            await repository.change(session, schedule_id, values)
        await self._mirror.reflect_or_leave(schedule_id)
        return await self.get(who, schedule_id)

    async def pause(self, who: Identity, schedule_id: uuid.UUID, reason: str) -> ScheduleView:
        """Have it start nothing by itself; what is due already begins. Paused again, it has the new reason.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.transaction() as session:
            row = theirs(who, await repository.lock(session, schedule_id), schedule_id)
            await _pause(session, schedule_id, who, reason, row.paused_at or await time_of(session))
        await self._mirror.reflect_or_leave(schedule_id)
        return await self.get(who, schedule_id)

    async def resume(self, who: Identity, schedule_id: uuid.UUID) -> ScheduleView:
        """Have it go on with its next time: those of the pause can be back-filled. One that goes on stays as it is.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.transaction() as session:
            row = theirs(who, await repository.lock(session, schedule_id), schedule_id)
            if row.paused_at is not None:
                values = {"paused_at": None, "paused_by": None, "paused_reason": ""}
                await repository.change(session, schedule_id, values)
        await self._mirror.reflect_or_leave(schedule_id)
        return await self.get(who, schedule_id)

    async def delete(self, who: Identity, schedule_id: uuid.UUID) -> None:
        """Remove it with its firings; what it started stays.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.transaction() as session:
            theirs(who, await repository.lock(session, schedule_id), schedule_id)
            await repository.remove(session, schedule_id)
        await self._mirror.reflect_or_leave(schedule_id)

    async def trigger(
        self, who: Identity, schedule_id: uuid.UUID, overlap: d.Overlap | None = None, key: str | None = None
    ) -> FiringRow:
        """Start it now, also while it is paused; with a key it is one start, however often it is asked for.

        Raises:
            NotFound: unknown, or not theirs.
            InvalidInput: the key is none.
        """
        if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
            raise InvalidInput("It has 1 to 255 printable characters.", field=HEADER, remedy="Use a UUID.")
        firing_id = uuid.uuid4() if key is None else uuid.uuid5(schedule_id, f"{who.user_id}/{key}")
        async with self._database.transaction() as session:
            row = theirs(who, await repository.lock(session, schedule_id), schedule_id)
            if await ledger.FIRINGS.find(session, firing_id) is None:
                now = [await time_of(session)]
                wanted = overlap or row.overlap
                await ledger.add(session, schedule_id, now, reason=d.TRIGGERED, overlap=wanted, id=firing_id)
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await self._starter.advance(schedule_id)
        except (PavoError, TimeoutError) as error:
            logger.warning("What schedule %s has due begins later: %s", schedule_id, error or "it takes long")
        async with self._database.reading() as session:
            found = await ledger.FIRINGS.find(session, firing_id)
        if found is None:
            raise _unknown(schedule_id)
        return found

    async def firings(
        self, who: Identity, schedule_id: uuid.UUID, states: Sequence[str], cursor: str | None, limit: int
    ) -> Page[FiringRow]:
        """What became of its times, newest first; what they started is looked at.

        Raises:
            NotFound: unknown, or not theirs.
            InvalidInput: the cursor is none of this API's.
        """
        before = None if cursor is None else Cursor.decode(cursor)
        async with self._database.reading() as session:
            theirs(who, await repository.find(session, schedule_id), schedule_id)
        await self._starter.note_ends(schedule_id)
        async with self._database.reading() as session:
            found = await ledger.page(session, schedule_id, states, before, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], Cursor(last.nominal_at, last.id).encode() if last else None)

    async def preview(self, times: TimesSpec, after: datetime | None, count: int) -> Sequence[datetime]:
        """When these times would be.

        Raises:
            InvalidInput: they are none; the field is named.
        """
        checked = compiled(times)
        if after is None:
            async with self._database.reading() as session:
                after = await time_of(session)
        return first(checked, after.astimezone(UTC), count)

    async def _checked(self, who: Identity, starts: StartsIn) -> tuple[str, Mapping[str, Any]]:
        """The kind, and the body as it is kept."""
        kind, body = named(starts)
        await self._works[kind].check(who, body)
        return kind, body.model_dump(mode="json", exclude_unset=True)


def _kept(times: TimesSpec) -> Mapping[str, Any]:
    return times.model_dump(mode="json", exclude_defaults=True)


def _check_times(times: Times, now: datetime) -> None:
    if following(times, now) is None:
        remedy = "Give times that are still to come; see: pavo schedule next"
        raise InvalidInput("None of its times is to come.", field="times", remedy=remedy)


async def _pause(session: AsyncSession, schedule_id: uuid.UUID, who: Identity, reason: str, since: datetime) -> None:
    values = {"paused_at": since, "paused_by": who.user_id, "paused_reason": reason}
    await repository.change(session, schedule_id, values)


async def _views(session: AsyncSession, rows: Sequence[ScheduleRow], count: int) -> Sequence[ScheduleView]:
    people = await people_by_id(session, [each for row in rows for each in (row.acts_for, row.paused_by)])
    now = await time_of(session)
    found = list[ScheduleView]()
    for row in rows:
        acts_for, paused_by = (people.get(each) if each else None for each in (row.acts_for, row.paused_by))
        times = first(compiled(TimesSpec.model_validate(row.times)), now, count)
        by = paused_by.email if paused_by else None
        found.append(ScheduleView(row, acts_for.email if acts_for else None, by, times))
    return found


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a schedule {name!r}.", field="name", remedy="Use another name, or change that one.")


def theirs(who: Identity, row: ScheduleRow | None, schedule_id: uuid.UUID) -> ScheduleRow:
    """The schedule.

    Raises:
        NotFound: unknown, or not theirs: said alike.
    """
    if row is None or row.organisation_id not in who.organisation_ids:
        raise _unknown(schedule_id)
    return row


def _unknown(schedule_id: uuid.UUID) -> NotFound:
    remedy = "Look at the list of schedules: pavo schedule list"
    return NotFound(f"There is no schedule {schedule_id}.", field="schedule_id", remedy=remedy)
