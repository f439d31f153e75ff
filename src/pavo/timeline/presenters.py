"""From events to the wire."""

from collections.abc import AsyncGenerator
from typing import Any

import orjson
from starlette.responses import Response

from pavo.kit.problem import problems
from pavo.timeline.domain import EventsAfter
from pavo.timeline.event_stream import EventStream


def events_page(found: EventsAfter) -> Response:
    """An `EventPage`: events look as in streams, and are not checked against their own schema once more."""
    page = {"items": [event.as_dict() for event in found.events], "last_seq": found.last_seq, "closed": found.closed}
    return Response(orjson.dumps(page), media_type="application/json")


def event_stream(found: AsyncGenerator[list[tuple[int, bytes]]] | None) -> Response:
    """What `WatchService.stream` found; None is 204, after which an EventSource does not come again."""
    return Response(status_code=204) if found is None else EventStream(found)


def stream_answers(subject: str) -> dict[int | str, dict[str, Any]]:
    """The description (OpenAPI) of what a stream answers, for `responses` of its route.

    Args:
        subject: the kind of subject as people read it: task, job.
    """
    lasts = f"it lasts until the {subject} is done."
    ended = f"the {subject} is done and all was seen, or it is deleted. Do not reconnect."
    return {
        200: {"description": f"Events, each with `id` (its seq) and `data` (JSON); {lasts}"},
        204: {"description": f"Nothing will follow: {ended}"},
        **problems(404),
    }
