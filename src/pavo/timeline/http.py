"""HTTP of timelines: what endpoints of any slice need to show those of its subjects.

A slice offers both ways of watching in a few lines. Its own are the two dependencies that find and authorise:
`OwnThing` for those who are known, `WatchedThing` (a `Subject`) for those who may also come by a bare URL.

    @router.get("/{thing_id}/events", response_model=EventPage, responses=problems(404))  # or one of its own
    async def list_events(watching: TheWatching, thing: OwnThing, after: After = 0, limit: EventLimit = 200):
        return events_page(await watching.events(thing.id, after, limit))

    @router.get("/{thing_id}/stream", response_class=EventStream, responses=stream_answers("thing"))
    async def stream_thing(watching: TheWatching, thing: WatchedThing, position: Position, until: Until = None):
        return stream_or_no_content(await watching.stream(thing, position, until_rest=until == "end"))

It imports the web framework: a worker has none, and never imports this.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Annotated, Any, Final, Literal, cast

import orjson
from fastapi import Depends, Header, Query, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pavo.errors import InvalidInput
from pavo.kit.listening.connection import EXTENSION, Connection, StreamEnded, last_comment
from pavo.kit.problem import problems, schema_ref
from pavo.timeline.domain import EventsAfter
from pavo.timeline.schemas import DeltaOut, EventOut, SupersededOut
from pavo.timeline.viewers import Following
from pavo.timeline.watching import WatchService

# What a request says

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
Until = Annotated[Literal["end"] | None, Query()]
"""`end`: end the stream also where nothing goes on by itself (stopped, failed), instead of waiting for a resume."""

WantsDeltas = Annotated[bool, Query()]
"""Whether the stream shows deltas too: what is said before it is recorded."""


# What it is answered

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nobody on the way keeps or gathers a stream."""
CONNECTED: Final = b": connected\n\n"
"""Sent at once, so that a viewer of a quiet subject knows that it is connected."""
QUIET: Final = b": keep-alive\n\n"


def events_page(found: EventsAfter) -> Response:
    """An `EventPage`: events look as in streams, and are not checked against their own schema once more."""
    page = {"items": [event.as_dict() for event in found.events], "last_seq": found.last_seq, "closed": found.closed}
    return Response(orjson.dumps(page), media_type="application/json")


def stream_or_no_content(found: Following | None) -> Response:
    """What `WatchService.stream` found; None is 204, after which an EventSource does not come again."""
    return Response(status_code=204) if found is None else EventStream(found)


def stream_answers(subject: str, event: str = EventOut.__name__) -> dict[int | str, dict[str, Any]]:
    """The description (OpenAPI) of what a stream answers, for `responses` of its route.

    Args:
        subject: the kind of subject as people read it: task, job.
        event: the schema of its events, by its name in the description.
    """
    lasts = (
        f"it lasts until the {subject} is done or deleted. One that is stopped or failed can be resumed: "
        "its stream stays open for that, unless it is asked for with `?until=end`."
    )
    ended = f"the {subject} is done (with `?until=end` also: stopped, failed) and all was seen, or it is deleted. "
    ended += f"Do not reconnect, unless somebody has a {subject} that was done go on."
    return {
        200: {
            "description": f"Events, each with `id` (its seq) and `data` (JSON); {lasts}",
            "content": {EventStream.media_type: {"schema": _stream_schema(event)}},
        },
        204: {"description": f"Nothing follows by itself: {ended}"},
        **problems(404),
    }


def _stream_schema(event: str) -> dict[str, Any]:
    """A stream is a text of frames, each ended by an empty line: of this kind are the frames of it.

    OpenAPI 3.2 has `itemSchema` for that; before, the schema of a text may say what the text holds.
    """
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema_ref(event)}
    an_event = {
        "title": "EventFrame",
        "description": "An event. `id` is its seq: the Last-Event-ID of a reconnect. It has no name and no `retry`.",
        "type": "object",
        "properties": {"id": {"type": "string", "pattern": r"^\d+$"}, "data": data},
        "required": ["id", "data"],
    }
    a_comment = {
        "title": "CommentFrame",
        "description": "A line after a colon, passed over by an EventSource: `connected` at once, `keep-alive` after "
        "nine quiet seconds, and last, where the stream ends before its subject does, `ended:` with the reason.",
        "type": "object",
        "properties": {"comment": {"type": "string", "pattern": "^(connected|keep-alive|ended: .+)$"}},
        "required": ["comment"],
    }
    a_delta = _named_frame("DeltaFrame", DeltaOut, "With `?deltas=true`: what is said before it is recorded.")
    superseded = _named_frame("SupersededFrame", SupersededOut, "With `?deltas=true`: take back what was shown of it.")
    frames = {"type": "array", "items": {"oneOf": [an_event, a_comment, a_delta, superseded]}}
    return {"type": "string", "contentMediaType": EventStream.media_type, "contentSchema": frames}


def _named_frame(title: str, data: type[BaseModel], what: str) -> dict[str, Any]:
    """A frame without `id`, so that Last-Event-ID stays what it was."""
    schema = data.model_json_schema()
    schema = _inlined(schema, schema.pop("$defs", {}))  # its own definitions are none of the description's
    name = title.removesuffix("Frame").lower()
    return {
        "title": title,
        "description": what,
        "type": "object",
        "properties": {
            "event": {"const": name},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": schema},
        },
        "required": ["event", "data"],
    }


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The same, with what it refers to in its place."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    members = cast(dict[str, Any], schema)
    if "$ref" in members:
        return _inlined(definitions[members["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(each, definitions) for name, each in members.items()}


class EventStream(StreamingResponse):
    """Sends (seq, JSON) as `id` and `data`; an empty list becomes a comment that keeps the connection alive.

    Where the server offers its connection (`kit.listening`), viewers share the bytes of an event, and one that does not
    read can be ended.
    """

    media_type = "text/event-stream"

    def __init__(self, found: Following, status_code: int = 200) -> None:
        self._found = found
        self._connection: Connection | None = None
        super().__init__(_frames(found), status_code, headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._connection = scope.get("extensions", {}).get(EXTENSION)
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also of a client that had left before the first byte: then nothing else tells the source.
            await self._found.aclose()

    async def stream_response(self, send: Send) -> None:
        """Send until the end, and tell the source when the client has left."""
        async with aclosing(self._found):
            if self._connection is None:
                await super().stream_response(send)
            else:
                await self._share(self._connection, send)

    async def _share(self, connection: Connection, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        connection.begin_stream()
        self._found.on_end(connection.end_stream)
        with suppress(StreamEnded):
            await connection.write_shared([CONNECTED])
            self._found.show_deltas(connection.write_at_once, connection.waits)
            async for events in self._found:
                for seq, data in events:
                    await connection.write_shared([b"id: %d\ndata: " % seq, data, b"\n\n"])
                if not events:
                    await connection.write_shared([QUIET])
            if self._found.ended is not None:
                await connection.write_shared([last_comment(self._found.ended)])
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _frames(found: Following) -> AsyncGenerator[bytes]:
    yield CONNECTED
    async for events in found:
        for event in events:
            yield b"id: %d\ndata: %s\n\n" % event
        if not events:
            yield QUIET
    if found.ended is not None:
        yield last_comment(found.ended)
