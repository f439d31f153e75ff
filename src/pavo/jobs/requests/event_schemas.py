"""The events of a job as clients get them, in pages and in streams, for the description of the API.

Nothing is checked against them when it is written; tests check all that was.
"""

from typing import Annotated, Any, Final, Union, get_args, get_type_hints

from pydantic import Field, RootModel
from pydantic.config import JsonDict

from pavo.jobs import event_data
from pavo.timeline.schemas import EventOut, EventPage, recorded

RECORDED: Final = tuple(recorded(event) for event in get_args(event_data.JobEvents))
"""Each event of a job, as it is recorded."""
JOB_EVENT_TYPES: Final = frozenset(get_args(get_type_hints(event)["type"])[0] for event in RECORDED)
_NONE_OF_THESE: Final[JsonDict] = {"not": {"enum": [*sorted(JOB_EVENT_TYPES)]}}


class KnownJobEvent(RootModel[Any]):
    """An event of a job: `type` tells which."""

    root: Annotated[Union[RECORDED], Field(discriminator="type")]  # noqa: UP007  # pyright: ignore


class LaterJobEvent(EventOut):
    """An event of a type that only a later version of Pavo has."""

    type: str = Field(max_length=64, json_schema_extra=_NONE_OF_THESE)


class JobEvent(RootModel[KnownJobEvent | LaterJobEvent]):
    """An event of a job's timeline."""


class JobEventPage(EventPage):
    """Events of a job, oldest first."""

    items: list[JobEvent]  # pyright: ignore[reportIncompatibleVariableOverride]
