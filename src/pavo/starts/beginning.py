"""Beginning what is starting, so that a death between any two lines neither loses nor doubles anything.

A firing that is `starting` says what it starts. That is made, under a key that is the firing's own, noted, begun; then
it is `started`. Whoever comes to one that is `starting` goes on with it: the same key makes the same thing.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic

from pavo.accounts.domain import Identity
from pavo.accounts.people import identity_in
from pavo.errors import PavoError, Unavailable
from pavo.kit.sql import Database
from pavo.starts.firings import FAILED, STARTED, Firings, R
from pavo.works.work import GONE, Work

logger = logging.getLogger(__name__)

MAX_TOLD: Final = 1_000
"""Characters of why something failed."""


@dataclass(frozen=True, slots=True)
class Began:
    """What this call has found out about a firing that was starting."""

    state: str
    """started or failed."""
    at: datetime | None = None
    """When it began."""
    told: str = ""
    """Why it failed."""


def key_of(firing_id: uuid.UUID, attempt: int) -> str:
    """Under which a firing makes what it starts; see `firing_of`."""
    return f"firing:{firing_id}:{attempt}"


def firing_of(key: str) -> uuid.UUID | None:
    """The firing that has made something under this key; None: no firing has."""
    first, _, rest = key.partition(":")
    try:
        return uuid.UUID(rest.partition(":")[0]) if first == "firing" else None
    except ValueError:
        return None


class Beginning(Generic[R]):
    """Begins what firings of one table start, and looks what became of it.

    Args:
        works: what can be started, by kind.
        left: what is told where nobody stands behind a firing any more.
    """

    def __init__(self, database: Database, works: Mapping[str, Work], firings: Firings[R], left: str) -> None:
        self._database, self._works, self._firings, self._left = database, works, firings, left

    async def begin(self, firing: R, organisation_id: uuid.UUID | None) -> Began | None:
        """Go on with one that is starting; None: somebody else has said what became of it.

        Raises:
            Unavailable: something is away; whoever comes next goes on.
        """
        try:
            at = await self._carry_out(firing, organisation_id)
        except Unavailable:
            raise
        except PavoError as error:
            return await self._fail(firing, " ".join(filter(None, (error.detail, error.remedy))))
        except Exception:
            logger.exception("Firing %s failed in an unforeseen way", firing.id)
            return await self._fail(firing, f"A fault of Pavo's own; the worker's log tells it of firing {firing.id}.")
        return None if at is None else Began(STARTED, at)

    async def note_ends(self, rows: Sequence[R]) -> None:
        """See which of what these started firings have started is over.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        outcomes = dict[uuid.UUID, str]()
        for kind in {row.kind for row in rows if row.kind in self._works}:
            work = self._works[str(kind)]
            mine = {row.id: row.subject_id for row in rows if row.kind == kind and row.subject_id is not None}
            stages = await work.stages(list(mine.values()))
            found = {firing_id: stages.get(subject, GONE) for firing_id, subject in mine.items()}
            outcomes |= {each: stage for each, stage in found.items() if stage == GONE or work.is_over(stage)}
        if outcomes:
            async with self._database.transaction() as session:
                await self._firings.ended(session, outcomes)

    async def stop(self, firing: R, organisation_id: uuid.UUID | None) -> None:
        """Have what it started end.

        Raises:
            Unavailable: something is away.
        """
        who, work = await self._acting(firing, organisation_id), self._works.get(firing.kind or "")
        if who is None or work is None or firing.subject_id is None:
            return
        try:
            await work.stop(who, firing.subject_id)
        except Unavailable:
            raise
        except PavoError as error:  # it is over, or gone: the next look sees that
            logger.info("What firing %s started need not be stopped: %s", firing.id, error)

    async def _carry_out(self, firing: R, organisation_id: uuid.UUID | None) -> datetime | None:
        who, work = await self._acting(firing, organisation_id), self._works.get(firing.kind or "")
        if who is None:
            raise PavoError(self._left)
        if work is None:
            raise PavoError(f"No {firing.kind} can be started here.")
        subject = firing.subject_id
        if subject is None:
            subject = await work.make(who, firing.body or {}, key_of(firing.id, firing.attempt))
            async with self._database.transaction() as session:
                await self._firings.note_subject(session, firing, subject)
        await work.begin(who, subject)
        async with self._database.transaction() as session:
            return await self._firings.started(session, firing)

    async def _acting(self, firing: R, organisation_id: uuid.UUID | None) -> Identity | None:
        if firing.acts_for is None or organisation_id is None:
            return None
        async with self._database.reading() as session:
            return await identity_in(session, firing.acts_for, organisation_id)

    async def _fail(self, firing: R, told: str) -> Began | None:
        async with self._database.transaction() as session:
            wrote = await self._firings.failed(session, firing, told[:MAX_TOLD])
        if not wrote:
            return None
        logger.warning("Firing %s failed: %s", firing.id, told[:MAX_TOLD])
        return Began(FAILED, told=told[:MAX_TOLD])
