"""The events of a task as clients get them, in pages and in streams, for the description of the API.

`TaskEvent` is any of them: a `PavoEvent`, which its `type` tells apart, or an `AgentEvent`, whose type is any other.
Decision 33 tells why these are two. Nothing is checked against them when it is written; tests check all that was.
"""

from typing import Annotated, Any, Final, Union, get_args

from pydantic import Field, RootModel
from pydantic.config import JsonDict

from pavo.agents.event_types import PAVO_EVENT_TYPES
from pavo.tasks.wire import event_data
from pavo.timeline.schemas import EventOut, EventPage, recorded

RECORDED: Final = tuple(recorded(event) for event in get_args(event_data.PavoEvent))
"""Each event of Pavo's, as it is recorded."""
_NONE_OF_PAVO: Final[JsonDict] = {"not": {"enum": [*sorted(PAVO_EVENT_TYPES)]}}


class PavoEvent(RootModel[Any]):
    """An event that Pavo itself wrote: `type` tells which."""

    root: Annotated[Union[RECORDED], Field(discriminator="type")]  # noqa: UP007  # pyright: ignore


class AgentEvent(EventOut):
    """An event of the agent's own, with the members that the agent gave it; its type is none of Pavo's."""

    type: str = Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_.:-]*$", json_schema_extra=_NONE_OF_PAVO)


class TaskEvent(RootModel[PavoEvent | AgentEvent]):
    """An event of a task's timeline: what is none of `PavoEvent` is an `AgentEvent`, also where it is of a type that
    only a later version of Pavo has."""


class TaskEventPage(EventPage):
    """Events of a task, oldest first."""

    items: list[TaskEvent]  # pyright: ignore[reportIncompatibleVariableOverride]
