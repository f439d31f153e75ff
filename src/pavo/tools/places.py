"""Places for tools in a process: each that runs has one, and one that hangs keeps it, for a thread cannot be killed.

So they are shared out: whatever one tool or one organisation does, others find places.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from pavo.errors import Unavailable
from pavo.observe import metrics

logger = logging.getLogger(__name__)

MAX_PLACES: Final = 200
"""Tools at once in a process, those that hang included."""
MAX_OF_ONE: Final = 150
"""Of one tool, or of one organisation: what is left is for the others."""
MAX_HANGING: Final = 50
"""Of one tool, or of one organisation, that hang: no more are begun until one of these has ended."""
NO_PLACE: Final = "tools"
"""The dependency that is away where there is none."""
NOBODYS: Final = uuid.UUID(int=0)
FULL_SECONDS: Final = 60.0
"""After so long without any place, since all hang, a worker begins anew."""
SHARE_SECONDS: Final = 600.0
"""After so long without one for a tool or an organisation, likewise: others can go on meanwhile."""
_LOOK_SECONDS: Final = 5.0


class Place:
    """One that is taken. Made by `Places.take`."""

    def __init__(self, places: "Places", shares: tuple[str, str]) -> None:
        self._places = places
        self.shares = shares
        self.hangs = False
        self._running: Future[Any] | None = None

    def begun(self, running: "Future[Any]") -> None:
        """A thread has it until it ends."""
        self._running = running
        running.add_done_callback(lambda _: self._places.free(self))

    def left_behind(self) -> None:
        """Its seconds are over."""
        self._places.hangs(self)

    def give_back(self) -> None:
        """Unless a thread has it."""
        if self._running is None:
            self._places.free(self)


class Places:
    """All of a process; whichever thread asks."""

    def __init__(self, most: int = MAX_PLACES, most_of_one: int = MAX_OF_ONE, most_hanging: int = MAX_HANGING) -> None:
        self._most, self._most_of_one, self._most_hanging = most, most_of_one, most_hanging
        self._guard = threading.Lock()
        self._taken: set[Place] = set()
        self._of = Counter[str]()
        self._hanging = Counter[str]()
        self._all_hanging = 0

    def take(self, tool: str, organisation: uuid.UUID = NOBODYS) -> Place:
        """A place for one call.

        Raises:
            Unavailable: there is none; nothing has begun.
        """
        shares = (f"the tool {tool}", f"the organisation {organisation}")
        with self._guard:
            if len(self._taken) >= self._most:
                raise self._full(f"{self._most} tools run or hang in this worker, {self._all_hanging} of them hang.")
            for share in shares if organisation != NOBODYS else shares[:1]:
                if self._hanging[share] >= self._most_hanging:
                    raise self._full(f"{self._hanging[share]} calls of {share} hang in this worker.")
                if self._of[share] >= self._most_of_one:
                    raise self._full(f"{self._of[share]} calls of {share} run or hang in this worker.")
            place = Place(self, shares)
            self._taken.add(place)
            self._of.update(shares)
        return place

    def find(self, tool: str, organisation: uuid.UUID) -> Place | Unavailable:
        """Likewise, or why there is none."""
        try:
            return self.take(tool, organisation)
        except Unavailable as full:
            return full

    def free(self, place: Place) -> None:
        """It is nobody's any more."""
        with self._guard:
            if place not in self._taken:
                return
            self._taken.discard(place)
            self._of.subtract(shares := place.shares)
            if place.hangs:
                self._hanging.subtract(shares)
                self._all_hanging -= 1
            for counts in (self._of, self._hanging):
                for share in shares:
                    if not counts[share]:
                        del counts[share]
            metrics.TOOLS_HANGING.set(self._all_hanging)

    def hangs(self, place: Place) -> None:
        """Nobody waits for it any more, and it has not ended."""
        with self._guard:
            if place in self._taken and not place.hangs:
                place.hangs = True
                self._hanging.update(place.shares)
                self._all_hanging += 1
                metrics.TOOLS_HANGING.set(self._all_hanging)

    @property
    def is_lost(self) -> bool:
        """Whether all of them hang."""
        return self._all_hanging >= self._most

    @property
    def lost_shares(self) -> list[str]:
        """Whose calls find none, since those before hang."""
        with self._guard:
            return [share for share, count in self._hanging.items() if count >= self._most_hanging]

    def _full(self, why: str) -> Unavailable:
        remedy = "Repair the tools that hang; it is tried again, where there is a place."
        return Unavailable(why, dependency=NO_PLACE, retry_after=5, remedy=remedy)


PLACES: Final = Places()


async def keep_usable(
    places: Places,
    begin_anew: Callable[[], None],
    full_seconds: float = FULL_SECONDS,
    share_seconds: float = SHARE_SECONDS,
    look_seconds: float = _LOOK_SECONDS,
) -> None:
    """Have the worker begin anew once it cannot call tools any more; it hands its tasks over in order.

    Args:
        begin_anew: may be called more than once.
    """
    since: dict[str, float] = {}
    while True:
        now = time.monotonic()
        lost = dict.fromkeys(places.lost_shares, share_seconds) | ({"all": full_seconds} if places.is_lost else {})
        since = {each: since.get(each, now) for each in lost}
        over = [each for each, seconds in lost.items() if now - since[each] >= seconds]
        if over:
            logger.error("The worker begins anew: calls of tools hang, and no more can be begun of %s.", over[0])
            begin_anew()
            since = {}
        await asyncio.sleep(look_seconds)
