"""One look at PostgreSQL for all who watch organisations in this process: who has something to read is woken."""

import asyncio
import logging
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from pavo.errors import Unavailable
from pavo.jobs.live import repository
from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""So often it is looked what has changed: one statement, by a key, whoever watches what."""


class ChangeWatch:
    """Belongs to one event loop; looks only while somebody watches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[uuid.UUID, set[asyncio.Event]] = {}
        self._seen: dict[uuid.UUID, repository.Place] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def waking(self, organisation_id: uuid.UUID, woken: asyncio.Event) -> Generator[None]:
        """Set `woken` whenever the organisation may have something to read: clear it before reading, not after."""
        self._waiting.setdefault(organisation_id, set()).add(woken)
        self._seen.pop(organisation_id, None)  # what came before the first look is woken for too
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="job-changes")
        try:
            yield
        finally:
            group = self._waiting[organisation_id]
            group.discard(woken)
            if not group:
                del self._waiting[organisation_id]
                self._seen.pop(organisation_id, None)

    async def _look(self) -> None:
        """Until nobody watches."""
        while self._waiting:
            try:
                async with self._database.reading() as session:
                    newest = await repository.newest(session, list(self._waiting))
            except Unavailable:
                pass
            except Exception:
                logger.exception("What has changed in organisations' jobs cannot be read")
            else:
                self._wake(newest)
            await asyncio.sleep(LOOK_SECONDS)

    def _wake(self, newest: Mapping[uuid.UUID, repository.Place]) -> None:
        for organisation_id, place in newest.items():
            if organisation_id in self._waiting and self._seen.get(organisation_id) != place:
                self._seen[organisation_id] = place
                for woken in self._waiting[organisation_id]:
                    woken.set()
