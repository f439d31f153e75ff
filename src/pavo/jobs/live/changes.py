"""Use cases of watching an organisation's jobs and queue as they change."""

import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Unavailable
from pavo.jobs.live import repository
from pavo.jobs.live.change_watch import ChangeWatch
from pavo.jobs.live.cursors import ChangeCursor
from pavo.jobs.live.domain import Addition, Change, Page
from pavo.jobs.logs.domain import LogFilter
from pavo.kit.sql import Database

PAGE: Final = 200
"""Changes that a reader holds at most, by which one that never reads costs bounded memory."""
LINES: Final = 50
"""The same of one who wants lines too: lines, and changes. So many numbers are looked at, whatever the level."""
MARGIN_SECONDS: Final = 60
"""A cursor counts as forgotten so long before its changes are removed."""


class ChangeService:
    """Changes of jobs and queues.

    Args:
        database: Pavo's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.watch = ChangeWatch(database)
        """Wakes all readers of this process by one look."""

    async def begin(self, cursor: ChangeCursor | None) -> tuple[ChangeCursor, bool]:
        """Where a reader begins, and whether nothing is left out since its cursor.

        A cursor of a database that was restored since may be one of a future that is gone.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._database.reading() as session:
            now = await repository.here(session)
        kept = repository.KEPT.total_seconds() - MARGIN_SECONDS
        if cursor is None or cursor.xid > now.xid or cursor.seconds < now.seconds - kept:
            return now, False
        return cursor, True

    async def after(self, organisation_id: uuid.UUID, cursor: ChangeCursor, lines: LogFilter | None = None) -> Page:
        """A page after a cursor, in order; nothing while PostgreSQL is away.

        Args:
            lines: which lines of logs are wanted beside the changes; None: none.
        """
        try:
            async with self._database.reading() as session:
                if lines is not None:
                    return await _with_lines(session, organisation_id, cursor, lines)
                found = await repository.after(session, organisation_id, cursor, PAGE)
        except Unavailable:
            return Page((), cursor)
        return Page(found, found[-1].cursor if found else cursor)


async def _with_lines(
    session: AsyncSession, organisation_id: uuid.UUID, cursor: ChangeCursor, wanted: LogFilter
) -> Page:
    found = _beginning(await repository.with_additions(session, organisation_id, cursor, LINES), cursor)
    additions = [each for each in found if isinstance(each, Addition)]
    if not additions:
        return Page([each for each in found if isinstance(each, Change)], found[-1].cursor if found else cursor)
    lines = iter(await repository.lines(session, organisation_id, additions, wanted.levels))
    told = [line for each in found for line in ((each,) if isinstance(each, Change) else next(lines))]
    return Page(told, found[-1].cursor)


def _beginning(found: Sequence[Change | Addition], cursor: ChangeCursor) -> Sequence[Change | Addition]:
    """What has at most so many lines as one page; at the end a part of an addition, where it has more."""
    kept, room = list[Change | Addition](), LINES
    for each in found:
        if not room:  # whatever follows comes after the rest of this addition
            break
        if isinstance(each, Addition):
            each = each.within(cursor, room)
            room -= max(0, each.last - each.first + 1)
        kept.append(each)
    return kept
