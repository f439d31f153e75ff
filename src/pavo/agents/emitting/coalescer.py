"""Gathers what an agent emits, so that a token a millisecond becomes some messages a second."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pavo.agents.checks import checked_delta
from pavo.kit.json_values import encode_text
from pavo.timeline.merge import ANEW, Members, Parts, is_anew, merged

Send: TypeAlias = Callable[[int, Parts], None]
"""Takes the step and what was added in it, by type."""

SECONDS: Final = 0.1
"""Between two messages at least: viewers get ten frames a second at most, and see what is said within 0.15 s."""
CHILD_SECONDS: Final = 0.105
"""The same in a process of an agent's own. A little more, so that its worker, which gathers too, need not wait."""
MAX_SAID: Final = 64_000
"""Of what is shown of one step, in characters: more than fits the event that records it."""
_COST: Final = 100
"""What a type counts beside its data, so that their number is bounded too."""
MAX_CROSSING: Final = 1_000
"""Of what other threads emit, on its way at once; more is dropped, for they are quicker than anybody reads."""
CUT: Final = "cut"
"""The member that says that more was said than is shown."""


class Coalescer:
    """Belongs to the event loop on which it is made; `emit` may be called from any thread.

    Args:
        send: takes what was gathered; may not raise.
    """

    def __init__(self, send: Send, seconds: float = SECONDS) -> None:
        self._send = send
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._step = -1
        self._pending: dict[str, Members] = {}
        self._members: dict[str, dict[str, int]] = {}
        """How large they are, by type, texts aside."""
        self._texts: dict[str, tuple[Members, int]] = {}
        """Of each type's text which one it is, and its length."""
        self._full: set[str] = set()
        """Types of which nothing fits any more, which was told."""
        self._room = MAX_SAID
        self._crossing = 0
        """On their way from other threads."""
        self._timer: asyncio.TimerHandle | None = None
        self._sent = 0.0

    def emit(self, step: int, type: str, data: Mapping[str, Any]) -> None:
        """See `contract.AgentContext.emit`."""
        event = checked_delta(type, data)
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self.add(step, event.type, event.data)
        elif self._crossing < MAX_CROSSING:
            self._crossing += 1
            self._loop.call_soon_threadsafe(self._cross, step, event.type, event.data)

    def _cross(self, step: int, name: str, data: Members) -> None:
        self._crossing -= 1
        self.add(step, name, data)

    def add(self, step: int, name: str, data: Members) -> None:
        """The same, of what is known to be right; on its event loop."""
        if step < self._step:
            return  # what it belongs to is over
        if step > self._step:
            self._begin(step)
        fitting = self._fitting(name, data)
        if fitting is None:
            return
        self._pending[name] = merged(self._pending.get(name), fitting)
        if self._timer is None:
            wait = max(0.0, self._sent + self._seconds - self._loop.time())
            self._timer = self._loop.call_later(wait, self._flush)

    def _begin(self, step: int) -> None:
        self._step, self._pending, self._room = step, {}, MAX_SAID
        self._members, self._texts, self._full = {}, {}, set()

    def _fitting(self, name: str, data: Members) -> Members | None:
        """As much of it as there is room for; None where there is none, and that was told."""
        self._drop_old(name, data)
        if name in self._full:
            return None
        text = data.get("text")
        length = len(text) if isinstance(text, str) else 0
        known = self._members.get(name)
        need, sizes = length + (_COST if known is None else 0), dict[str, int]()
        for member, value in data.items():
            if member != "text" or not isinstance(text, str):
                sizes[member] = len(member) + len(encode_text(value))
                need += sizes[member] - (known or {}).get(member, 0)
        if need <= self._room:
            self._room -= need
            self._members.setdefault(name, {}).update(sizes)
            self._lengthen(name, data, length)
            return data
        if known is None:
            return None
        self._full.add(name)
        room, self._room = self._room, 0
        self._lengthen(name, data, min(length, room))
        kept: Members = {ANEW: data[ANEW], CUT: True} if type(data.get(ANEW)) is int else {CUT: True}
        return {"text": text[:room], **kept} if isinstance(text, str) else kept

    def _drop_old(self, name: str, data: Members) -> None:
        """Where a text takes the place of the one before, there is room for it again."""
        which, length = self._texts.get(name, ({}, 0))
        if name in self._members and is_anew(which, data):
            self._room += length + sum(self._members[name].values())
            self._members[name] = {}
            self._texts.pop(name, None)
            self._full.discard(name)

    def _lengthen(self, name: str, data: Members, length: int) -> None:
        which, before = self._texts.get(name, ({}, 0))
        self._texts[name] = ({ANEW: data[ANEW]} if type(data.get(ANEW)) is int else which, before + length)

    def flush(self) -> None:
        """Send what waits, if anything does, without waiting for its time."""
        if self._timer is not None:
            self._timer.cancel()
            self._flush()

    def _flush(self) -> None:
        self._timer = None
        self._sent = self._loop.time()
        pending, self._pending = self._pending, {}
        if pending:
            self._send(self._step, pending)
