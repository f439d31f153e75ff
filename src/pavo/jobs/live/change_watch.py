"""One look at PostgreSQL for all who watch organisations in this process: who has something to read is woken."""

import asyncio
import logging
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final, TypeAlias

from pavo.errors import Unavailable
from pavo.jobs.live import repository
from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""So often it is looked what has changed: one statement, by a key, whoever watches what; one more for logs."""
Watched: TypeAlias = tuple[uuid.UUID, bool]
"""An organisation, and whether its logs are meant: else its jobs and its queue."""


class ChangeWatch:
    """Belongs to one event loop; looks only while somebody watches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[Watched, set[asyncio.Event]] = {}
        self._seen: dict[Watched, repository.Place] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def waking(self, organisation_id: uuid.UUID, woken: asyncio.Event, *, logs: bool = False) -> Generator[None]:
        """Set `woken` whenever the organisation may have something to read: clear it before reading, not after.

        Args:
            logs: whether lines of its jobs' logs are read too.
        """
        watched = [(organisation_id, False), (organisation_id, True)][: 1 + logs]
        for each in watched:
            self._waiting.setdefault(each, set()).add(woken)
            self._seen.pop(each, None)  # what came before the first look is woken for too
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="job-changes")
        try:
            yield
        finally:
            for each in watched:
                self._leave(each, woken)

    def _leave(self, watched: Watched, woken: asyncio.Event) -> None:
        group = self._waiting[watched]
        group.discard(woken)
        if not group:
            del self._waiting[watched]
            self._seen.pop(watched, None)

    async def _look(self) -> None:
        """Until nobody watches."""
        while self._waiting:
            try:
                newest = await self._newest()
            except Unavailable:
                pass
            except Exception:
                logger.exception("What has changed in organisations' jobs cannot be read")
            else:
                self._wake(newest)
            await asyncio.sleep(LOOK_SECONDS)

    async def _newest(self) -> Mapping[Watched, repository.Place]:
        ids = [organisation_id for organisation_id, logs in self._waiting if not logs]
        of_logs = [organisation_id for organisation_id, logs in self._waiting if logs]
        async with self._database.reading() as session:
            found = {(each, False): place for each, place in (await repository.newest(session, ids)).items()}
            if of_logs:
                added = await repository.newest_addition(session, of_logs)
                found |= {(each, True): place for each, place in added.items()}
        return found

    def _wake(self, newest: Mapping[Watched, repository.Place]) -> None:
        for watched, place in newest.items():
            if watched in self._waiting and self._seen.get(watched) != place:
                self._seen[watched] = place
                for woken in self._waiting[watched]:
                    woken.set()
