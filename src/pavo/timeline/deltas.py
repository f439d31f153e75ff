"""Deltas: what work under way says before it is recorded. Shown at once, never stored in PostgreSQL, and taken back.

A worker gathers what an attempt says in a step (`Said`). Redis carries what was added, one message after the other, and
keeps the whole of it for those who come in the middle. A process that has viewers follows that (`Live`), and each
viewer is sent what it lacks of it; so nothing waits for a viewer that is slow, what it gets is merely more at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from pavo.timeline.merge import ANEW, Members, Parts, merged

NO_STEP: Final = 2**31 - 1
"""As a step: all of an attempt."""
RECORDED: Final = "recorded"
"""How deltas are over: what they announced stands in the timeline, or is on its way there."""
SUPERSEDED: Final = "superseded"
"""Likewise: their attempt ended without recording it."""

Place: TypeAlias = tuple[int, int]
"""Attempt and step; what is newer is greater."""


@dataclass(slots=True)
class Said:
    """What an attempt has said so far in one step."""

    attempt: int
    step: int
    """The number that its checkpoint will have; 0 while it plans."""
    count: int = 0
    """How many messages told of it."""
    parts: dict[str, Members] = field(default_factory=dict[str, Members])
    """By type."""

    @property
    def place(self) -> Place:
        """What is newer has a greater one."""
        return self.attempt, self.step

    def add(self, more: Parts) -> None:
        """Take the next message."""
        self.count += 1
        for name, members in more.items():
            self.parts[name] = merged(self.parts.get(name), members)

    def message(self, more: Parts) -> bytes:
        """What Redis carries of it: the newest part."""
        return self._json("more", more)

    def kept(self) -> bytes:
        """What Redis keeps of it: all."""
        return self._json("parts", self.parts)

    def _json(self, name: str, parts: Parts) -> bytes:
        return orjson.dumps({"attempt": self.attempt, "step": self.step, "count": self.count, name: parts})


def over_message(attempt: int, step: int, how: str) -> bytes:
    """What Redis carries when nothing more follows, up to this step of this attempt."""
    return orjson.dumps({"attempt": attempt, "step": step, "over": how})


class Mark(NamedTuple):
    """How far somebody was told."""

    place: Place
    messages: int
    texts: Mapping[str, tuple[Any, int]]
    """Of each type's text: which one it is (`merge.ANEW`), and its length in characters."""


class Live:
    """What is said about one subject, as a process with viewers knows it."""

    def __init__(self) -> None:
        self.said: Said | None = None
        self.heard = 0
        """Messages of Redis."""
        self._over: Place = (0, -1)
        """Up to here nothing more is said."""
        self.taken_back: Place = (0, -1)
        """Up to here what was said is retracted; what lies between is recorded, which viewers see by its event."""
        self._changed: dict[str, int] = {}
        """At which count each type changed last."""
        self._mark: Mark | None = None
        self._frames: dict[tuple[Place, int] | None, bytes] = {}
        """For those who were told so far; most were told the same."""

    def take(self, message: Mapping[str, Any]) -> bool:
        """Follow a message of Redis; False where one before it was missed: read what is kept."""
        self.heard += 1
        place = message["attempt"], message["step"]
        if "over" in message:
            self._end(place, message["over"])
            return True
        if place <= self._over or (self.said is not None and place < self.said.place):
            return True
        before = self.said.count if self.said is not None and self.said.place == place else 0
        if message["count"] <= before:
            return True
        if message["count"] > before + 1:
            return False
        if not before:
            self.said, self._changed = Said(*place), {}
        assert self.said is not None
        self.said.add(message["more"])
        self._changed |= dict.fromkeys(message["more"], self.said.count)
        self._forget()
        return True

    def read(self, kept: Mapping[str, Any] | None) -> None:
        """Follow what Redis keeps, where that is newer; None: it keeps nothing, so nothing is said, or it lost that."""
        if kept is None:
            if self.said is not None:
                # Not over: where Redis was emptied, the next message has the whole kept again.
                self.taken_back = max(self.taken_back, self.said.place)
                self.said = None
                self._forget()
            return
        found = Said(kept["attempt"], kept["step"], kept["count"], kept["parts"])
        known = self.said is not None and (self.said.place, self.said.count) >= (found.place, found.count)
        if found.place > self._over and not known:
            self.said, self._changed = found, dict.fromkeys(found.parts, found.count)
            self._forget()

    def _end(self, place: Place, how: str) -> None:
        self._over = max(self._over, place)
        if how == SUPERSEDED:
            self.taken_back = max(self.taken_back, place)
        if self.said is not None and self.said.place <= place:
            self.said = None
            self._forget()

    def _forget(self) -> None:
        self._mark = None
        self._frames.clear()

    @property
    def mark(self) -> Mark | None:
        """How far somebody is told who is told everything."""
        if self._mark is None and self.said is not None:
            texts = {name: (members.get(ANEW), len(_text(members))) for name, members in self.said.parts.items()}
            self._mark = Mark(self.said.place, self.said.count, texts)
        return self._mark

    def frames(self, told: Mark | None) -> bytes:
        """The frames for somebody who was told so far; empty where there is nothing new.

        What an older attempt or step said is taken back first.
        """
        key = None if told is None else (told.place, told.messages)
        if (found := self._frames.get(key)) is None:
            found = self._frames[key] = self._made(told)
        return found

    def _made(self, told: Mark | None) -> bytes:
        said = self.said
        if said is None:
            return b"" if told is None else superseded_frame(told.place)
        back = b""
        if told is not None and told.place != said.place:
            back, told = superseded_frame(told.place), None
        deltas = [self._delta(name, said.parts[name], told) for name in said.parts if self._is_new(name, told)]
        if not deltas:
            return back
        shown = {"attempt": said.attempt, "step": said.step, "deltas": deltas}
        return back + b"event: delta\ndata: " + orjson.dumps(shown) + b"\n\n"

    def _is_new(self, name: str, told: Mark | None) -> bool:
        return told is None or self._changed.get(name, 0) > told.messages

    @staticmethod
    def _delta(name: str, members: Members, told: Mark | None) -> dict[str, Any]:
        if not isinstance(members.get("text"), str):
            return {"type": name, "data": members}
        which, offset = told.texts.get(name, (None, 0)) if told is not None else (None, 0)
        text = _text(members)
        if offset > len(text) or which != members.get(ANEW):
            offset = 0
        return {"type": name, "offset": offset, "data": {**members, "text": text[offset:]}}


def superseded_frame(place: Place) -> bytes:
    """Takes back what was shown of this attempt and step."""
    return b"event: superseded\ndata: " + orjson.dumps({"attempt": place[0], "step": place[1]}) + b"\n\n"


def _text(members: Members) -> str:
    text = members.get("text")
    return text if isinstance(text, str) else ""
