"""Use cases of watching, for the subjects of any slice: read a timeline, follow it live.

Whose a subject is, and who may watch it, its own slice decides before it asks here.
"""

import uuid
from dataclasses import replace
from typing import Final

from pavo.accounts.standing import Lasting, StandingWatch
from pavo.errors import NotFound
from pavo.kit.sql import Database
from pavo.timeline import service
from pavo.timeline.domain import EventsAfter, Subject, WantedDeltas
from pavo.timeline.follow import Follower
from pavo.timeline.viewers import Following

NEWEST: Final = 50
"""Of so many events, before a viewer comes, it is looked up which deltas they settle."""


class WatchService:
    """What people see of a subject while it goes on."""

    def __init__(self, database: Database, follower: Follower, standing: StandingWatch | None = None) -> None:
        self._database = database
        self._follower = follower
        self._standing = standing

    async def events(self, subject_id: uuid.UUID, after: int, limit: int) -> EventsAfter:
        """At most `limit` events after number `after`, fewer where they are long, and where the timeline stands.

        Raises:
            NotFound: it has no timeline.
        """
        async with self._database.reading() as session:
            found = await service.read_after(session, subject_id, after, limit)
            head = await service.head(session, subject_id)
        if head is None:
            raise _no_timeline(subject_id)
        return EventsAfter(found, head.last_seq, head.closed)

    async def stream(
        self, subject: Subject, after: int, *, until_rest: bool = False, deltas: bool = False
    ) -> Following | None:
        """Follow the subject; None when nothing will come after number `after` (closed and all seen, or deleted).

        Args:
            until_rest: nothing more is wanted where it rests: it failed, say, and goes on when somebody resumes it.
            deltas: what is said before it is recorded is wanted too.

        Raises:
            NotFound: it has no timeline.
        """
        if subject.deleted:
            return None
        async with self._database.reading() as session:
            head = await service.head(session, subject.id)
        if head is None:
            raise _no_timeline(subject.id)
        if (head.closed or (until_rest and subject.at_rest)) and after >= head.last_seq:
            return None
        # Numbers go back when PostgreSQL was restored: who saw a future that is gone begins anew.
        begin = after if after <= head.last_seq else 0
        wanted = await self._settled(subject, head.last_seq) if deltas else None
        following = self._follower.follow(subject.id, begin, wanted)
        if until_rest and subject.rests is not None:
            following.until_rest(subject.rests, at_rest=subject.at_rest, newest=head.last_seq)
        self.hold(following, subject)
        return following

    async def _settled(self, subject: Subject, last_seq: int) -> WantedDeltas | None:
        """What its newest events settle: a viewer that has seen them is not handed them again."""
        wanted = subject.deltas
        if wanted is None:
            return None
        async with self._database.reading() as session:
            newest = await service.read_after(session, subject.id, max(0, last_seq - NEWEST), NEWEST)
        told = [step for step in (wanted.settles(event.as_json()) for event in newest) if step is not None]
        return replace(wanted, settled=told[-1]) if told else wanted

    def hold(self, connection: Lasting, subject: Subject) -> None:
        """End whatever lasts when its reader may see the subject no more."""
        if self._standing is not None and subject.grant is not None:
            self._standing.hold(connection, subject.grant)


def _no_timeline(subject_id: uuid.UUID) -> NotFound:
    return NotFound(f"There is no timeline {subject_id}.", remedy="Look at the list of what you may watch.")
