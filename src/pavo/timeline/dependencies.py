"""What endpoints of any slice need to show its subjects' timelines.

A slice offers both ways of watching in a few lines. Its own are the two dependencies that find and authorise:
`OwnThing` for those who are known, `WatchedThing` (a `Subject`) for those who may also come by a bare URL.

    @router.get("/{thing_id}/events", response_model=EventPage, responses=problems(404))
    async def list_events(watching: TheWatching, thing: OwnThing, after: After = 0, limit: EventLimit = 200):
        return events_page(await watching.events(thing.id, after, limit))

    @router.get("/{thing_id}/stream", response_class=EventStream, responses=stream_answers("thing"))
    async def stream_thing(watching: TheWatching, thing: WatchedThing, position: Position):
        return event_stream(await watching.stream(thing, position))
"""

from typing import Annotated, Final

from fastapi import Depends, Header, Query, Request

from pavo.errors import InvalidInput
from pavo.timeline.watching import WatchService

MAX_SEQ: Final = 2**62
"""Beyond any event's number, within PostgreSQL's bigint."""
MAX_DIGITS: Final = 18
"""Of a Last-Event-ID, so that it is below MAX_SEQ."""
After = Annotated[int, Query(ge=0, le=MAX_SEQ)]
"""The number of the last event that is known."""
EventLimit = Annotated[int, Query(ge=1, le=1000)]
"""How many events a page has at most."""


# All dependencies are coroutines: the framework runs plain functions in a thread, which costs more than they do.
async def _watching(request: Request) -> WatchService:
    """The service that `api.create_app` put on the application."""
    service: WatchService = request.app.state.watching
    return service


async def position(
    after: Annotated[int | None, Query(ge=0, le=MAX_SEQ)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> int:
    """The number after which a stream goes on.

    Last-Event-ID is newer than `?after=`: a browser repeats the address when it reconnects.

    Raises:
        InvalidInput: Last-Event-ID is no number of an event.
    """
    if not last_event_id:
        return after or 0
    if not last_event_id.isascii() or not last_event_id.isdigit() or len(last_event_id) > MAX_DIGITS:
        raise InvalidInput(
            "Last-Event-ID is no number of an event.", field="Last-Event-ID", remedy="Send the id of the last event."
        )
    return int(last_event_id)


TheWatching = Annotated[WatchService, Depends(_watching)]
Position = Annotated[int, Depends(position)]
