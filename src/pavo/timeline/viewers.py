"""One follower of a timeline: its inbox, the bytes that it holds, and its end before the timeline's."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pavo.kit.clock import now
from pavo.observe import metrics
from pavo.timeline import service
from pavo.timeline.delta_viewer import Budget, DeltaViewer, Found

_AT: Final = b'"at":"'
"""What stands before an event's time; in a member of the event the quotes would be escaped."""
RESTS: Final = "nothing goes on by itself; resume it, then follow again after Last-Event-ID"
SLOW: Final = "too much waits for slow viewers; go on after Last-Event-ID"


@dataclass(eq=False, slots=True)
class Viewer:
    """One follower's inbox."""

    timeline_id: uuid.UUID
    last: int
    """The newest number that was handed out."""
    budget: Budget
    queue: deque[tuple[int, bytes]] = field(default_factory=deque[tuple[int, bytes]])
    queued: int = 0
    """Bytes of `queue`."""
    out: Found = field(default_factory=Found)
    """What is being sent."""
    out_since: float = 0.0
    """Since when, on the monotonic clock."""
    behind: bool = True
    """Whether it must read PostgreSQL by itself before the queue is of use."""
    closed: bool = False
    """Whether the head says that nothing will follow."""
    ended: str | None = None
    """Why it ends before the timeline does."""
    interrupt: Callable[[str], None] | None = None
    """Ends what is being sent to it."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    since: datetime = field(default_factory=now)
    told: float = field(default_factory=time.monotonic)
    """When it last handed something out, on the monotonic clock."""
    quiet: bool = False
    """Whether that was long ago."""
    reading: asyncio.Task[Found] | None = None
    """What it reads from PostgreSQL by itself just now."""
    deltas: "DeltaViewer | None" = None
    """How it is shown deltas, where it wants them."""

    @property
    def idle(self) -> bool:
        """Whether it has all events that there are, so that deltas may follow."""
        return not (self.has_more() or self.out or self.ended or self.closed)

    @property
    def newest(self) -> int:
        """The newest number that it has, handed out or not."""
        return max(self.last, self.queue[-1][0]) if self.queue else self.last

    def offer(self, seq: int, data: bytes) -> None:
        """Take a live event, unless too much waits already: then it reads PostgreSQL again when it gets to it.

        Whoever offers it wakes the viewer.
        """
        if seq <= self.last or self.ended:
            return
        if self.queue and self.queued + len(data) > self.budget.viewer:
            self.forget()
            self.behind = True
        else:
            self.queue.append((seq, data))
            self.queued += len(data)
            self.budget.hold(data)

    def forget(self) -> None:
        """Give back what waits."""
        self.budget.release(self.queue)
        self.queue.clear()
        self.queued = 0

    def take(self) -> Found:
        """The live events that follow the last one without a gap; at a gap the viewer is behind."""
        found: Found = []
        while self.queue and not self.behind:
            seq, data = self.queue.popleft()
            self.queued -= len(data)
            if seq == self.last + 1:
                self.last = seq
                found.append((seq, data))
                continue
            if seq > self.last:
                self.behind = True
            self.budget.release([(seq, data)])
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

    def hands_out(self, found: Found) -> Found:
        """Note what is being sent, which it holds already."""
        self.out, self.out_since = found, time.monotonic()
        if self.deltas is not None:
            self.deltas.pass_by(found)
        return found

    def handed_out(self) -> None:
        """Count events that were sent; the lag is that of the oldest, unless it happened before the viewer came."""
        self.told, self.quiet = time.monotonic(), False
        found, self.out = self.out, []
        self.budget.release(found)
        if not found:
            return
        metrics.EVENTS_SENT.add(by=len(found))
        oldest = found[0][1]
        begin = oldest.index(_AT) + len(_AT)
        at = datetime.fromisoformat(oldest[begin : oldest.index(b'"', begin)].decode())
        if at >= self.since:
            metrics.STREAM_LAG.observe(max(0.0, (now() - at).total_seconds()))

    def end(self, reason: str) -> None:
        """End it before the timeline ends, with a reason that its client is told."""
        if self.ended is not None:
            return
        self.ended = reason
        self.wake.set()
        if self.interrupt is not None:
            self.interrupt(reason)

    def leave(self) -> None:
        """Give back all that it holds."""
        self.forget()
        self.budget.release(self.out)
        self.out = []
        if self.deltas is not None:
            self.deltas.release()
        if self.reading is not None:
            self.reading.cancel()


class Following:
    """A timeline's events as one viewer gets them: lists of (seq, JSON); an empty one says that nothing happened."""

    def __init__(self, viewer: Viewer, found: AsyncGenerator[Found]) -> None:
        self._viewer, self._found = viewer, found
        self.left = False
        """Whether its client has left, or it was ended."""
        self.rested = False
        """Whether it ended because its subject rests, which its client had asked for."""
        self._rests: Callable[[bytes], bool | None] | None = None
        self._at_rest, self._from = False, 0

    def until_rest(self, rests: Callable[[bytes], bool | None], *, at_rest: bool, newest: int) -> None:
        """End once the subject rests and everything is handed out.

        Args:
            rests: whether the subject rests from this event on; None where the event does not tell.
            at_rest: whether it did when number `newest` was the timeline's last. Until then, a rest is one of before.
        """
        self._rests, self._at_rest, self._from = rests, at_rest, newest

    def __aiter__(self) -> "Following":
        return self

    async def __anext__(self) -> Found:
        if self.rested:
            raise StopAsyncIteration
        found = await anext(self._found)
        if self._rests is not None and found:
            for _, data in found:
                told = self._rests(data)
                self._at_rest = self._at_rest if told is None else told
            self.rested = self._at_rest and found[-1][0] >= self._from
        return found

    async def aclose(self) -> None:
        """Leave."""
        self.left = True
        await self._found.aclose()

    @property
    def ended(self) -> str | None:
        """Why it ended before the timeline did, if so."""
        return RESTS if self.rested else self._viewer.ended

    def show_deltas(self, write: Callable[[bytes], bool], unsent: Callable[[], int]) -> None:
        """Have deltas, if the viewer wants them, written between two events from now on.

        Args:
            write: writes frames at once, unless something waits to be sent: then it answers False.
            unsent: how many bytes wait.
        """
        if self._viewer.deltas is not None:
            self._viewer.deltas.begin(write, unsent)

    def end(self, reason: str) -> None:
        """End it now, with a reason that its client is told."""
        self.left = True
        self._viewer.end(reason)

    def on_end(self, interrupt: Callable[[str], None]) -> None:
        """Have `interrupt` called when it ends before the timeline does, also while something is being sent."""
        self._viewer.interrupt = interrupt


def shed(viewers: Iterable[Viewer], budget: Budget) -> None:
    """End those that have been sending for longest, until the rest keeps within the budget."""
    sending = sorted((viewer for viewer in viewers if viewer.out), key=lambda viewer: viewer.out_since)
    for viewer in sending:
        if not budget.exceeded:
            return
        metrics.VIEWERS_CUT.add()
        viewer.end(SLOW)
        viewer.leave()
