"""How deltas of one type become one: pure, for agents' processes too, which import little."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Members: TypeAlias = Mapping[str, Any]
"""The data of a delta."""
Parts: TypeAlias = Mapping[str, Members]
"""Data by type."""

ANEW: Final = "anew"
"""The member that has what was said so far be dropped, where it is another number than before."""


def is_anew(before: Members, more: Members) -> bool:
    """Whether this takes the place of what was said before, and does not go on with it."""
    return type(more.get(ANEW)) is int and more[ANEW] != before.get(ANEW)


def merged(before: Members | None, more: Members) -> Members:
    """What was said, with more of the same type: texts in `text` are joined, of other members the last one holds."""
    if before is None or is_anew(before, more):
        return more
    texts = before.get("text"), more.get("text")
    if isinstance(texts[0], str) and isinstance(texts[1], str):
        return {**before, **more, "text": texts[0] + texts[1]}
    return {**before, **more}
