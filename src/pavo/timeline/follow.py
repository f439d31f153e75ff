"""Following timelines: PostgreSQL after a number, then live, each event exactly once and in order.

One Redis subscription connection serves all viewers of a process. Redis is a hint only: a gap in the numbers makes a
viewer read PostgreSQL, and what Redis lost, was late with or cannot tell (that a timeline is closed) is read once for
all viewers of a timeline.
"""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Unavailable
from pavo.kit.cancellation import end
from pavo.kit.clock import now
from pavo.kit.sql import Database
from pavo.kit.subscription import Subscription
from pavo.observe import metrics
from pavo.timeline import service
from pavo.timeline.publish import CHANNEL, CLOSED_CHANNEL, channel

logger = logging.getLogger(__name__)

PAGE = 500
"""Events of one read while a viewer catches up."""
MAX_QUEUED = 1_000
"""Live events that wait for one slow viewer at most; then it reads from PostgreSQL again instead."""
POLL_SECONDS = 1.0
"""How often PostgreSQL is asked beside a healthy Redis: it catches what died between commit and publish."""
POLL_SECONDS_AWAY = 0.2
"""The same while Redis is away."""
QUIET_SECONDS = 9.0
"""After so long without an event a viewer is told, within another second, that there is none."""
_AT = b'"at":"'
"""What stands before an event's time; in a member of the event the quotes would be escaped."""


@dataclass(eq=False, slots=True)
class Viewer:
    """One follower's inbox."""

    timeline_id: uuid.UUID
    last: int
    """The newest number that was handed out."""
    queue: deque[tuple[int, bytes]] = field(default_factory=deque[tuple[int, bytes]])
    behind: bool = True
    """Whether it must read PostgreSQL by itself before the queue is of use."""
    closed: bool = False
    """Whether the head says that nothing will follow."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    since: datetime = field(default_factory=now)
    told: float = field(default_factory=time.monotonic)
    """When it last handed something out, on the monotonic clock."""
    quiet: bool = False
    """Whether that was long ago."""
    reading: asyncio.Task[list[tuple[int, bytes]]] | None = None
    """What it reads from PostgreSQL by itself just now."""

    @property
    def newest(self) -> int:
        """The newest number that it has, handed out or not."""
        return max(self.last, self.queue[-1][0]) if self.queue else self.last

    def offer(self, seq: int, data: bytes) -> None:
        """Take a live event."""
        if seq <= self.last:
            return
        if len(self.queue) >= MAX_QUEUED:
            self.queue.clear()
            self.behind = True
        else:
            self.queue.append((seq, data))
        self.wake.set()

    def take(self) -> list[tuple[int, bytes]]:
        """The live events that follow the last one without a gap; at a gap the viewer is behind."""
        found: list[tuple[int, bytes]] = []
        while self.queue and not self.behind:
            seq, data = self.queue.popleft()
            if seq == self.last + 1:
                self.last = seq
                found.append((seq, data))
            elif seq > self.last:
                self.behind = True
        return found

    def learn(self, head: service.Head | None) -> None:
        """Take the head's position from PostgreSQL; None means that the timeline is gone."""
        if head is None or head.closed:
            self.closed = True
        if head is not None and head.last_seq > self.newest:
            self.behind = True
        if self.closed or self.behind:
            self.wake.set()

    def has_more(self) -> bool:
        """Whether there is something to hand out, or to look for, without waiting for its wake."""
        return self.behind or bool(self.queue) or self.reading is not None

    def handed_out(self, found: list[tuple[int, bytes]]) -> None:
        """Count events that were sent; the lag is that of the oldest, unless it happened before the viewer came."""
        self.told, self.quiet = time.monotonic(), False
        if not found:
            return
        metrics.EVENTS_SENT.add(by=len(found))
        oldest = found[0][1]
        begin = oldest.index(_AT) + len(_AT)
        at = datetime.fromisoformat(oldest[begin : oldest.index(b'"', begin)].decode())
        if at >= self.since:
            metrics.STREAM_LAG.observe(max(0.0, (now() - at).total_seconds()))


class Follower:
    """Hands the events of timelines to any number of viewers. Call `start` on the loop that serves them."""

    def __init__(self, database: Database, redis: Redis) -> None:
        self._database = database
        self._subscription = Subscription(redis, [CLOSED_CHANNEL], self._take, self._connected)
        self._viewers: dict[uuid.UUID, set[Viewer]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._beside: set[asyncio.Task[None]] = set()
        self._ending = False

    @property
    def viewers(self) -> int:
        """How many viewers there are now."""
        return sum(len(group) for group in self._viewers.values())

    async def start(self) -> None:
        """Begin listening and polling."""
        self._tasks = [
            asyncio.create_task(self._subscription.run(), name="timeline-listen"),
            asyncio.create_task(self._poll(), name="timeline-poll"),
            asyncio.create_task(self._notice_quiet(), name="timeline-quiet"),
        ]

    def dismiss(self) -> None:
        """End every stream, also those to come: this process ends, and its viewers go on elsewhere."""
        self._ending = True
        for viewer in self._all():
            viewer.wake.set()

    async def close(self) -> None:
        """End listening."""
        self.dismiss()
        await end(*self._tasks, *self._beside)

    async def follow(self, timeline_id: uuid.UUID, after: int) -> AsyncGenerator[list[tuple[int, bytes]]]:
        """Yield (seq, JSON) of every event after number `after`, each once, in order; ends when the timeline is closed.

        What is there at once comes as one list; an empty one says that there was no event for a while.

        PostgreSQL being away delays events, it does not end the stream.
        """
        viewer = Viewer(timeline_id, after)
        metrics.VIEWERS.add()
        self._viewers.setdefault(timeline_id, set()).add(viewer)
        try:
            await self._subscription.want(channel(timeline_id))
            while not self._ending:
                found = await self._more(viewer)
                if found or viewer.quiet:
                    yield found
                    viewer.handed_out(found)
                if viewer.has_more():
                    continue
                if viewer.closed:
                    return
                await viewer.wake.wait()
                viewer.wake.clear()
        finally:
            metrics.VIEWERS.add(by=-1)
            self._leave(viewer)

    async def _more(self, viewer: Viewer) -> list[tuple[int, bytes]]:
        """What can be handed out; nothing while PostgreSQL takes long, for viewers are to hear that it lives."""
        if viewer.reading is None:
            if not viewer.behind:
                return viewer.take()
            viewer.reading = asyncio.create_task(self._read(viewer))
        await asyncio.wait({viewer.reading}, timeout=1.0)
        if not viewer.reading.done():
            return []
        reading, viewer.reading = viewer.reading, None
        return reading.result()

    async def _read(self, viewer: Viewer) -> list[tuple[int, bytes]]:
        """What PostgreSQL has after the viewer's last event, one page."""
        # Before reading: what commits from here on wakes the viewer again.
        viewer.behind = False
        try:
            async with self._database.reading() as session:
                events = await service.read_after(session, viewer.timeline_id, viewer.last, PAGE)
                heads = await service.heads(session, [viewer.timeline_id])
        except Unavailable:
            viewer.behind = True
            await asyncio.sleep(POLL_SECONDS_AWAY)
            return []
        if events:
            viewer.last = events[-1].seq
        viewer.learn(heads.get(viewer.timeline_id))
        return [(event.seq, event.as_json()) for event in events]

    def _leave(self, viewer: Viewer) -> None:
        group = self._viewers[viewer.timeline_id]
        group.discard(viewer)
        if not group:
            del self._viewers[viewer.timeline_id]
            self._subscription.drop(channel(viewer.timeline_id))
        if viewer.reading is not None:
            viewer.reading.cancel()

    def _do_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def _all(self) -> list[Viewer]:
        return [viewer for group in self._viewers.values() for viewer in group]

    # What Redis tells

    def _take(self, name: str, data: bytes) -> None:
        if name == CLOSED_CHANNEL:
            if (closed := uuid.UUID(data.decode())) in self._viewers:
                self._do_beside(self._look([closed]))
        else:
            self._fan_out(uuid.UUID(name.removeprefix(CHANNEL)), [(orjson.loads(data)["seq"], data)])

    def _connected(self) -> None:
        self._do_beside(self._look(list(self._viewers)))

    def _fan_out(self, timeline_id: uuid.UUID, found: Sequence[tuple[int, bytes]]) -> None:
        for viewer in self._viewers.get(timeline_id, ()):
            for seq, data in found:
                viewer.offer(seq, data)

    # What PostgreSQL tells

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS if self._subscription.connected else POLL_SECONDS_AWAY)
            if self._viewers:
                await self._look(list(self._viewers))

    async def _look(self, timeline_ids: Sequence[uuid.UUID]) -> None:
        """See where timelines stand, and hand out what viewers lack: one read of events for all of a timeline."""
        try:
            async with self._database.reading() as session:
                heads = await service.heads(session, timeline_ids)
                for timeline_id in timeline_ids:
                    head = heads.get(timeline_id)
                    try:
                        await self._catch_up(session, timeline_id, head)
                    except (TypeError, ValueError, RecursionError):
                        # Its own viewers will meet the error; those of the others are not to wait for it.
                        logger.exception("Timeline %s holds what cannot be shown", timeline_id)
                    for viewer in self._viewers.get(timeline_id, ()):
                        viewer.learn(head)
        except Unavailable as error:
            logger.warning("Cannot look at timelines: %s", error)
        except Exception:
            # Logged and not raised: the next look is a second away.
            logger.exception("Looking at timelines failed in an unforeseen way")

    async def _catch_up(self, session: AsyncSession, timeline_id: uuid.UUID, head: service.Head | None) -> None:
        group = self._viewers.get(timeline_id, ())
        lacking = [viewer.newest for viewer in group if head and not viewer.behind and viewer.newest < head.last_seq]
        if lacking:
            # Who is more than a page behind reads by itself.
            events = await service.read_after(session, timeline_id, max(min(lacking), max(lacking) - PAGE), PAGE)
            self._fan_out(timeline_id, [(event.seq, event.as_json()) for event in events])

    async def _notice_quiet(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            since = time.monotonic() - QUIET_SECONDS
            for viewer in self._all():
                if viewer.told <= since:
                    viewer.quiet = True
                    viewer.wake.set()
