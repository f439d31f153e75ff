"""The events of a run as clients get them, in pages and in streams, for the description of the API.

Nothing is checked against them when it is written; tests check all that was.
"""

from typing import Annotated, Any, Final, Union, get_args, get_type_hints

from pydantic import Field, RootModel
from pydantic.config import JsonDict

from pavo.flows.ledger import event_data
from pavo.timeline.schemas import EventOut, EventPage, recorded

RECORDED: Final = tuple(recorded(event) for event in get_args(event_data.FlowRunEvents))
"""Each event of a run, as it is recorded."""
FLOW_RUN_EVENT_TYPES: Final = frozenset(get_args(get_type_hints(event)["type"])[0] for event in RECORDED)
_NONE_OF_THESE: Final[JsonDict] = {"not": {"enum": [*sorted(FLOW_RUN_EVENT_TYPES)]}}


class KnownFlowRunEvent(RootModel[Any]):
    """An event of a run of a flow: `type` tells which."""

    root: Annotated[Union[RECORDED], Field(discriminator="type")]  # noqa: UP007  # pyright: ignore


class LaterFlowRunEvent(EventOut):
    """An event of a type that only a later version of Pavo has."""

    type: str = Field(max_length=64, json_schema_extra=_NONE_OF_THESE)


class FlowRunEvent(RootModel[KnownFlowRunEvent | LaterFlowRunEvent]):
    """An event of the timeline of a run of a flow."""


class FlowRunEventPage(EventPage):
    """Events of a run of a flow, oldest first."""

    items: list[FlowRunEvent]  # pyright: ignore[reportIncompatibleVariableOverride]
