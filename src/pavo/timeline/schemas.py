"""The wire of timelines: an event, a page of events. A slice narrows both by what its own events say."""

from datetime import datetime
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict


class EventOut(BaseModel):
    """An event of the timeline; more members by type."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    seq: int
    """Its number in the timeline: from 1, without gaps."""
    type: str
    at: datetime
    """When it was recorded."""


class EventPage(BaseModel):
    """Events, oldest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[EventOut]
    last_seq: int
    """The timeline's newest number."""
    closed: bool
    """Nothing will follow."""


def recorded(event: Any) -> Any:
    """A TypedDict that says what a slice's event has, with what it gets when it is recorded: number and moment."""
    found: Any = TypedDict(event.__name__, _members(EventOut) | _members(event))  # pyright: ignore
    found.__doc__ = event.__doc__
    return found


def _members(of: Any) -> dict[str, Any]:
    """The members of a model or a TypedDict by name, with their descriptions."""
    described = TypeAdapter[Any](of).json_schema()["properties"]
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(of, include_extras=True).items():
        if name not in described:
            continue
        optional = get_origin(hint) is NotRequired
        kind = get_args(hint)[0] if optional else hint
        kind = Annotated[kind, Field(description=described[name].get("description"))]
        found[name] = NotRequired[kind] if optional else kind
    return found


class DeltaPart(BaseModel):
    """What was added to one type."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    offset: int | None = None
    """Where `data.text` is a text: after how many characters (code points) of this type in this step it follows. 0
    begins anew; else it is exactly what was shown so far."""
    data: dict[str, Any]
    """`text` is what was added; all other members are as they stand now. `cut`: more is said than is shown."""


class DeltaOut(BaseModel):
    """What an attempt says while a step is under way. Never recorded."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    attempt: int
    step: int
    """The number that its checkpoint will have; 0 while it plans. A `tick` with this number, or a greater one, replaces
    what was shown."""
    deltas: list[DeltaPart]


class SupersededOut(BaseModel):
    """Nothing came of what this attempt said in this step."""

    attempt: int
    step: int
