"""How one viewer is shown deltas: between events, what it lacks, and only while it takes what it is sent."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from pavo.timeline.deltas import NO_STEP, Live, Mark, superseded_frame

Found: TypeAlias = list[tuple[int, bytes]]
"""Events by number, each as JSON."""
Settles: TypeAlias = Callable[[bytes], int | None]
"""Up to which step deltas mean nothing after this event (JSON): they are recorded, or will not be; None where it does
not tell. -1: what comes from now on counts, whatever its step. `deltas.NO_STEP`: all is taken back."""


class Budget:
    """The bytes of events that viewers hold; what several hold counts once.

    Args:
        viewer: bytes that wait for one viewer at most, one event aside.
        total: bytes of all.
    """

    def __init__(self, viewer: int, total: int) -> None:
        self.viewer, self.total = viewer, total
        self.held = 0
        self._holders: dict[int, int] = {}

    @property
    def exceeded(self) -> bool:
        """Whether somebody has to give something back."""
        return self.held > self.total

    def hold(self, data: bytes) -> None:
        """One viewer more holds this very object."""
        count = self._holders.get(id(data), 0)
        self._holders[id(data)] = count + 1
        if not count:
            self.held += len(data)

    def release(self, found: Iterable[tuple[int, bytes]]) -> None:
        """One viewer less holds these."""
        for _, data in found:
            left = self._holders[id(data)] - 1
            if left:
                self._holders[id(data)] = left
            else:
                del self._holders[id(data)]
                self.held -= len(data)


class DeltaViewer:
    """What one viewer was told of deltas.

    Args:
        settles: see `Settles`.
        settled: up to which step deltas mean nothing before the first event that tells.
    """

    def __init__(self, budget: Budget, settles: Settles, settled: int) -> None:
        self._budget = budget
        self._settles = settles
        self._settled = settled
        self._told: Mark | None = None
        self._write: Callable[[bytes], bool] | None = None
        self._unsent: Callable[[], int] | None = None
        self._holds: bytes | None = None

    def begin(self, write: Callable[[bytes], bool], unsent: Callable[[], int]) -> None:
        """See `Following.show_deltas`."""
        self._write, self._unsent = write, unsent

    def pass_by(self, found: Found) -> None:
        """See the events that it is handed: what they settle is shown no more."""
        for _, data in found:
            settled = self._settles(data)
            if settled is not None:
                self._settled = settled
        if self._told is not None and self._told.place[1] <= self._settled < NO_STEP:
            self._told = None

    def show(self, live: Live) -> bool:
        """Write what it lacks; False where it has not taken what came before, so that it is to be tried again."""
        if self._write is None:
            return True
        self._give_back()
        if self._unsent is not None and self._unsent():
            return False  # before a frame is made that it would not take
        said = live.said
        if self._settled == NO_STEP:
            return self._take_back()
        if said is not None and said.step <= self._settled:
            return True
        if said is None and (self._told is None or self._told.place > live.taken_back):
            return True
        frames = live.frames(self._told)
        if frames:
            if self._budget.held + len(frames) > self._budget.total // 2 or not self._write(frames):
                return False
            self._hold(frames)
        self._told = live.mark
        return True

    def _take_back(self) -> bool:
        """Work was stopped or failed: what it said is recorded nowhere."""
        if self._told is not None and self._write is not None:
            if not self._write(superseded_frame(self._told.place)):
                return False
            self._told = None
        return True

    def _hold(self, frames: bytes) -> None:
        """Count what the kernel has not taken yet."""
        if self._unsent is not None and self._unsent():
            self._holds = frames
            self._budget.hold(frames)

    def _give_back(self) -> None:
        if self._holds is not None and self._unsent is not None and not self._unsent():
            self.release()

    def release(self) -> None:
        """Hold nothing any more."""
        if self._holds is not None:
            self._budget.release([(0, self._holds)])
            self._holds = None
