"""Waking viewers without keeping the event loop from everybody else.

An event that thousands watch is some ten microseconds of work for each, and up to a hundred where it is large. Done in
one turn of the event loop, the viewers of every other timeline wait for all of it.
"""

import asyncio
from collections.abc import Collection
from itertools import islice
from typing import Final

from pavo.timeline.viewers import Viewer

AT_A_TIME: Final = 25
"""Viewers of one timeline that are woken in a turn of the event loop."""


class Waking:
    """Wakes the viewers of an event: those of a small group at once, those of a large one in several turns. Belongs
    to one event loop."""

    def __init__(self, at_a_time: int = AT_A_TIME) -> None:
        self._at_a_time = at_a_time
        self._groups: dict[object, dict[Viewer, None]] = {}
        """Who is to be woken yet, in order, by timeline."""
        self._turning = False

    def wake(self, timeline: object, viewers: Collection[Viewer]) -> None:
        """Wake them soon. One that is waited for already is woken once."""
        waiting = self._groups.get(timeline)
        if waiting is None and len(viewers) <= self._at_a_time:
            _wake(viewers)
            return
        self._groups.setdefault(timeline, {}).update(dict.fromkeys(viewers))
        if not self._turning:
            self._turn()

    def _turn(self) -> None:
        for timeline, waiting in list(self._groups.items()):
            woken = list(islice(waiting, self._at_a_time))
            for viewer in woken:
                del waiting[viewer]
            _wake(woken)
            if not waiting:
                del self._groups[timeline]
        self._turning = bool(self._groups)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)


def _wake(viewers: Collection[Viewer]) -> None:
    for viewer in viewers:
        viewer.wake.set()
