"""Following timelines: PostgreSQL after a number, then live, each event exactly once and in order.

One Redis subscription connection serves all viewers of a process. Redis is a hint only: a gap in the numbers makes a
viewer read PostgreSQL, and what Redis lost, was late with or cannot tell (that a timeline is closed) is read once for
all viewers of a timeline.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any

import orjson
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Unavailable
from pavo.kit.cancellation import end
from pavo.kit.sql import Database
from pavo.kit.subscription import Subscription
from pavo.observe import metrics
from pavo.timeline import service
from pavo.timeline.delta_feed import DeltaFeed
from pavo.timeline.delta_viewer import Budget, DeltaViewer, Found
from pavo.timeline.domain import WantedDeltas
from pavo.timeline.publish import CHANNEL, CLOSED_CHANNEL, SAID_CHANNEL, channel, said_channel
from pavo.timeline.shared_reads import Page, SharedReads
from pavo.timeline.viewers import Following, Viewer, shed
from pavo.timeline.waking import Waking

logger = logging.getLogger(__name__)

PAGE = 500
"""Events of one read while a viewer catches up."""
VIEWER_BYTES = 256_000
"""Of events that wait for one viewer at most, and of one read while it catches up; one event may be more."""
TOTAL_BYTES = 128_000_000
"""Of events that wait for all viewers of a process together."""
SHARED_BYTES = 4_000_000
"""Of one read for all viewers of a timeline."""
POLL_SECONDS = 1.0
"""How often PostgreSQL is asked beside a healthy Redis: it catches what died between commit and publish."""
POLL_SECONDS_AWAY = 0.2
"""The same while Redis is away."""
QUIET_SECONDS = 9.0
"""After so long without an event a viewer is told, within another second, that there is none."""


class Follower:
    """Hands the events of timelines to any number of viewers. Call `start` on the loop that serves them."""

    def __init__(self, database: Database, redis: Redis, budget: Budget | None = None) -> None:
        self._database = database
        self.budget = budget or Budget(VIEWER_BYTES, TOTAL_BYTES)
        self._subscription = Subscription(redis, [CLOSED_CHANNEL], self._take, self._connected)
        self._viewers: dict[uuid.UUID, set[Viewer]] = {}
        self._deltas = DeltaFeed(redis, lambda timeline_id: self._viewers.get(timeline_id, ()))
        self._tasks: list[asyncio.Task[None]] = []
        self._beside: set[asyncio.Task[None]] = set()
        self._waking = Waking()
        self._reads = SharedReads(self._page)
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

    def follow(self, timeline_id: uuid.UUID, after: int, deltas: WantedDeltas | None = None) -> Following:
        """Yield (seq, JSON) of every event after number `after`, each once, in order; ends when the timeline is closed.

        What is there at once comes as one list; an empty one says that there was no event for a while.

        PostgreSQL being away delays events, it does not end the stream.

        Args:
            deltas: they are wanted too; whoever reads says by `Following.show_deltas` how they are written.
        """
        viewer = Viewer(timeline_id, after, self.budget)
        if deltas is not None:
            viewer.deltas = DeltaViewer(self.budget, deltas.settles, deltas.settled)
        return Following(viewer, self._follow(viewer))

    async def _follow(self, viewer: Viewer) -> AsyncGenerator[Found]:
        timeline_id = viewer.timeline_id
        metrics.VIEWERS.add()
        self._viewers.setdefault(timeline_id, set()).add(viewer)
        try:
            await self._subscription.want(channel(timeline_id))
            if viewer.deltas is not None and self._deltas.watch(timeline_id):
                self._do_beside(self._hear(timeline_id))
            while not self._ending and not viewer.ended:
                found = viewer.hands_out(await self._more(viewer))
                if found or viewer.quiet:
                    self._keep_within()
                    yield found
                    viewer.handed_out()
                if viewer.has_more():
                    continue
                if viewer.closed:
                    return
                if viewer.deltas is not None:
                    self._deltas.show(viewer)
                await viewer.wake.wait()
                viewer.wake.clear()
        finally:
            metrics.VIEWERS.add(by=-1)
            self._leave(viewer)

    def _keep_within(self) -> None:
        if self.budget.exceeded:
            shed(self._all(), self.budget)

    async def _more(self, viewer: Viewer) -> Found:
        """What can be handed out; nothing while PostgreSQL takes long, for viewers are to hear that it lives."""
        if viewer.reading is None:
            if not viewer.behind:
                return viewer.take()
            viewer.reading = asyncio.create_task(self._read(viewer))
        await asyncio.wait({viewer.reading}, timeout=1.0)
        if not viewer.reading.done():
            return []
        reading, viewer.reading = viewer.reading, None
        found = reading.result()
        for _, data in found:
            self.budget.hold(data)
        return found

    async def _read(self, viewer: Viewer) -> Found:
        """What PostgreSQL has after the viewer's last event, one page."""
        # Before reading: what commits from here on wakes the viewer again.
        viewer.behind = False
        try:
            page = await self._reads.page(viewer.timeline_id, viewer.last)
        except Unavailable:
            viewer.behind = True
            await asyncio.sleep(POLL_SECONDS_AWAY)
            return []
        if page.events:
            viewer.last = page.events[-1][0]
        viewer.learn(page.head)
        return page.events

    async def _page(self, timeline_id: uuid.UUID, after: int) -> Page:
        async with self._database.reading() as session:
            events = await service.read_after(session, timeline_id, after, PAGE, self.budget.viewer)
            heads = await service.heads(session, [timeline_id])
        return Page([(event.seq, event.as_json()) for event in events], heads.get(timeline_id))

    def _leave(self, viewer: Viewer) -> None:
        group = self._viewers[viewer.timeline_id]
        group.discard(viewer)
        if not group:
            del self._viewers[viewer.timeline_id]
            self._subscription.drop(channel(viewer.timeline_id))
            self._subscription.drop(said_channel(viewer.timeline_id))
            self._deltas.leave(viewer.timeline_id)
        viewer.leave()

    def _do_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def _all(self) -> list[Viewer]:
        return [viewer for group in self._viewers.values() for viewer in group]

    # What Redis tells

    async def _hear(self, timeline_id: uuid.UUID) -> None:
        """Hear what is said from now on, then read what was said before: so nothing lies between the two."""
        await self._subscription.want(said_channel(timeline_id))
        if timeline_id in self._viewers:
            await self._deltas.read([timeline_id])
        else:
            self._subscription.drop(said_channel(timeline_id))

    def _take(self, name: str, data: bytes) -> None:
        if name.startswith(SAID_CHANNEL):
            timeline_id = uuid.UUID(name.removeprefix(SAID_CHANNEL))
            if not self._deltas.take(timeline_id, data):
                self._do_beside(self._deltas.read([timeline_id]))
        elif name == CLOSED_CHANNEL:
            if (closed := uuid.UUID(data.decode())) in self._viewers:
                self._do_beside(self._look([closed]))
        else:
            self._fan_out(uuid.UUID(name.removeprefix(CHANNEL)), [(orjson.loads(data)["seq"], data)])

    def _connected(self) -> None:
        self._do_beside(self._look(list(self._viewers)))
        if self._deltas.watched:
            self._do_beside(self._deltas.read(self._deltas.watched))

    def _fan_out(self, timeline_id: uuid.UUID, found: Sequence[tuple[int, bytes]]) -> None:
        group = self._viewers.get(timeline_id, ())
        for viewer in group:
            for seq, data in found:
                viewer.offer(seq, data)
        self._waking.wake(timeline_id, group)
        self._keep_within()

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
            after = max(min(lacking), max(lacking) - PAGE)
            events = await service.read_after(session, timeline_id, after, PAGE, SHARED_BYTES)
            self._fan_out(timeline_id, [(event.seq, event.as_json()) for event in events])

    async def _notice_quiet(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            since = time.monotonic() - QUIET_SECONDS
            for viewer in self._all():
                if viewer.told <= since:
                    viewer.quiet = True
                    viewer.wake.set()
