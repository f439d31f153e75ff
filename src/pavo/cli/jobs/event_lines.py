"""What `pavo job watch` says of an event to people; programs get all of it, by -o json. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

FOR_PROGRAMS: Final = frozenset({"agent_id", "artifact_id", "gate_id", "hash", "media_type", "sha256"})
"""Members that people have no use for: what they name is named beside them."""
_WORDS: Final = {"epoch": "attempt", "owes_cleanup": "owes cleanup"}


def event_line(data: Mapping[str, object]) -> str:
    """The members of an event, with the attempt first: attempt 1, how failed, error BranchMissing: There is none."""
    shown = {name: value for name, value in data.items() if name not in FOR_PROGRAMS}
    ordered = sorted(shown.items(), key=lambda each: each[0] != "epoch")
    return ", ".join(f"{_WORDS.get(name, name)} {_told(value)}" for name, value in ordered)


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):  # an error: its type, then its cause and its remedy
        first, *others = [str(each) for each in cast("Mapping[str, object]", value).values()] or [""]
        return f"{first}: {' '.join(others)}" if others else first
    if isinstance(value, list | tuple):
        return " ".join(str(each) for each in cast("Sequence[object]", value)) or "none"
    return str(value)
