"""What an orchestrator yields, as events of its task."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pavo.agents.checks import EVENT_TYPE
from pavo.agents.contract import PAVO_EVENT_TYPES, RESERVED_EVENT_KEYS, Event

OUTPUT: Final = "output"
"""The type of an event whose item names none."""


def events_of(item: Any) -> list[Event]:
    """None says nothing; an event, or a list of events, is one; a mapping with a `type` becomes an event of that type,
    anything else an event `output`.

    A type that is one of Pavo's own gets `output.` before it; members that Pavo sets itself are put below `item`.
    """
    if item is None:
        return []
    if isinstance(item, Event):
        return [item]
    if isinstance(item, list | tuple) and item and all(isinstance(each, Event) for each in cast(list[Any], item)):
        return list(cast(list[Event], item))
    if not isinstance(item, Mapping):
        return [Event(OUTPUT, {"text": item} if isinstance(item, str) else {"value": item})]
    members = dict(cast(Mapping[Any, Any], item))
    kind = members.get("type")
    if isinstance(kind, str) and EVENT_TYPE.fullmatch(kind):
        del members["type"]
        kind = f"{OUTPUT}.{kind}" if kind in PAVO_EVENT_TYPES else kind
    else:
        kind = OUTPUT
    return [Event(kind, {"item": members} if RESERVED_EVENT_KEYS & members.keys() else members)]
