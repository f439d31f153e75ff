"""Use cases of watching an organisation's jobs and queue as they change."""

import uuid
from collections.abc import Sequence
from typing import Final

from pavo.errors import Unavailable
from pavo.jobs.live import repository
from pavo.jobs.live.change_watch import ChangeWatch
from pavo.jobs.live.cursors import ChangeCursor
from pavo.jobs.live.domain import Change
from pavo.kit.sql import Database

PAGE: Final = 200
"""Changes that a reader holds at most, by which one that never reads costs bounded memory."""
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

    async def after(self, organisation_id: uuid.UUID, cursor: ChangeCursor) -> Sequence[Change]:
        """A page of changes after a cursor, in order; none while PostgreSQL is away."""
        try:
            async with self._database.reading() as session:
                return await repository.after(session, organisation_id, cursor, PAGE)
        except Unavailable:
            return ()
