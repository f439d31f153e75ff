"""The schedules of Temporal, one for each row: they say when a time has come, and nothing else.

Each time starts a workflow, whatever is still open (ALLOW_ALL): what that means for what is started is decided with the
rows (`domain.decide`).
"""

import logging
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)

from pavo.errors import PavoError
from pavo.kit.sql import Database
from pavo.runs.schedules import list_schedules, put_schedule, remove_schedule
from pavo.runs.story import TASK_TIMEOUT
from pavo.schedules import domain as d
from pavo.schedules import repository
from pavo.schedules.firing.contracts import Mirrored
from pavo.schedules.firing.workflow import FireSchedule
from pavo.schedules.models import ScheduleRow
from pavo.schedules.times.calendar_fields import FIELDS
from pavo.schedules.times.compiled import Calendar, Times, compiled
from pavo.schedules.times.spec import TimesSpec

logger = logging.getLogger(__name__)

SETTLED_AFTER: Final = timedelta(seconds=30)
"""Temporal's list of schedules is a moment late: a mirror this young is not missed in it."""
LEAST_WINDOW: Final = timedelta(seconds=10)
"""Temporal takes no shorter one."""


class Mirror:
    """Has Temporal's schedules say what the rows say.

    Args:
        task_queue: of the workflows; the schedules' ids have it in them.
    """

    def __init__(self, database: Database, temporal: Client, task_queue: str) -> None:
        self._database = database
        self._temporal = temporal
        self._task_queue = task_queue

    async def reflect(self, schedule_id: uuid.UUID) -> None:
        """Have the mirror of a row as the row is now; of a deleted one both go.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        async with self._database.transaction() as session:
            row = await repository.hold_mirror(session, schedule_id)
            if row is None or row.deleted_at is not None:
                await remove_schedule(self._temporal, d.mirror_id(self._task_queue, schedule_id))
                await repository.drop(session, schedule_id)
                return
            await put_schedule(self._temporal, d.mirror_id(self._task_queue, schedule_id), self._schedule(row))
            await repository.mirrored(session, schedule_id, row.version)

    async def reflect_or_leave(self, schedule_id: uuid.UUID) -> None:
        """The same; what is away is made up for within a minute by `put_right`."""
        try:
            await self.reflect(schedule_id)
        except PavoError as error:
            logger.warning("The mirror of schedule %s is put right later: %s", schedule_id, error)

    async def put_right(self) -> None:
        """The second line: mirrors that are of another version, are missing, or are paused otherwise, are as their rows
        are; those without rows go.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        async with self._database.reading() as session:
            wanted = set(await repository.unmirrored(session))
            there = await repository.settled(session, SETTLED_AFTER)
        prefix = d.mirror_prefix(self._task_queue)
        listed = {each.id.removeprefix(prefix): each for each in await list_schedules(self._temporal, prefix)}
        for schedule_id, paused in there.items():
            mirror = listed.get(str(schedule_id))
            if mirror is None or mirror.paused != paused:
                wanted.add(schedule_id)
        for schedule_id in wanted:
            await self.reflect(schedule_id)
        async with self._database.reading() as session:
            left = await repository.gone(session, [uuid.UUID(each) for each in listed])
        for schedule_id in left:
            await remove_schedule(self._temporal, d.mirror_id(self._task_queue, schedule_id))

    def _schedule(self, row: ScheduleRow) -> Schedule:
        action = ScheduleActionStartWorkflow(
            FireSchedule.run,
            Mirrored(str(row.id), row.version),
            id=d.mirror_id(self._task_queue, row.id),
            task_queue=self._task_queue,
            task_timeout=TASK_TIMEOUT,
        )
        window = max(timedelta(seconds=row.catch_up_seconds), LEAST_WINDOW)
        policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=window)
        state = ScheduleState(paused=row.paused_at is not None, note=row.paused_reason[:200] or None)
        spec = specification(compiled(TimesSpec.model_validate(row.times)))
        return Schedule(action=action, spec=spec, policy=policy, state=state)


def specification(times: Times) -> ScheduleSpec:
    """The same times, as Temporal is told them."""
    return ScheduleSpec(
        calendars=[_calendar(each) for each in times.calendars],
        intervals=[ScheduleIntervalSpec(each.every, each.offset or None) for each in times.intervals],
        skip=[_calendar(each) for each in times.skip],
        start_at=times.start,
        end_at=times.end,
        jitter=times.jitter or None,
        time_zone_name=times.zone.key,
    )


def _calendar(one: Calendar) -> ScheduleCalendarSpec:
    found: dict[str, Any] = {each.name: _ranges(getattr(one, each.name) or ()) for each in FIELDS}
    make: Callable[..., ScheduleCalendarSpec] = ScheduleCalendarSpec
    return make(**found)


def _ranges(values: Iterable[int]) -> list[ScheduleRange]:
    found = list[tuple[int, int]]()
    for value in sorted(values):
        if found and found[-1][1] == value - 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    return [ScheduleRange(first, last) for first, last in found]
