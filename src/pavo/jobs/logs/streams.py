"""A job's log as server-sent events."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from pavo.jobs.logs.domain import LogLine
from pavo.jobs.logs.service import Following
from pavo.kit.listening.connection import last_comment
from pavo.kit.problem import problems, schema_ref
from pavo.timeline.http import CONNECTED, HEADERS, QUIET

MEDIA_TYPE: Final = "text/event-stream"
SENT_BYTES: Final = 64_000
"""At once: as much as a connection takes before it is full."""


class LogStream(StreamingResponse):
    """Sends lines as `id` and `data`; quiet times become comments. What its client does not take is not read."""

    media_type = MEDIA_TYPE

    def __init__(self, found: Following, status_code: int = 200) -> None:
        self._found = found
        super().__init__(_frames(found), status_code, headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and leave the log when its client has left."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._found.aclose()


async def _frames(found: Following) -> AsyncGenerator[bytes]:
    yield CONNECTED
    async with aclosing(found):
        async for lines in found:
            if not lines:
                yield QUIET
            for sent in _together(lines):
                yield sent
    if found.ended is not None:
        yield last_comment(found.ended)


def _together(lines: Sequence[LogLine]) -> Generator[bytes]:
    """A page in a few pieces: of a client that does not read, one of them is made and waits, beside the page."""
    frames, size = list[bytes](), 0
    for line in lines:
        frames.append(b"id: %s\ndata: %s\n\n" % (str(line.cursor).encode(), line.as_json()))
        size += len(frames[-1])
        if size >= SENT_BYTES:
            yield b"".join(frames)
            frames, size = [], 0
    if frames:
        yield b"".join(frames)


def log_stream_answers() -> Mapping[int | str, dict[str, Any]]:
    """The description (OpenAPI) of what it answers."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema_ref("JobLogLine")}
    line = {
        "title": "LogFrame",
        "description": "A line. `id` is its place, the Last-Event-ID of a reconnect.",
        "type": "object",
        "properties": {"id": {"type": "string", "pattern": r"^\d+-\d+$"}, "data": data},
        "required": ["id", "data"],
    }
    comment = {
        "title": "LogComment",
        "description": "A line after a colon, passed over by an EventSource: `connected` at once, `keep-alive` after "
        "nine quiet seconds.",
        "type": "object",
        "properties": {"comment": {"type": "string"}},
        "required": ["comment"],
    }
    frames = {"type": "array", "items": {"oneOf": [line, comment]}}
    schema = {"type": "string", "contentMediaType": MEDIA_TYPE, "contentSchema": frames}
    return {
        200: {
            "description": "Lines, each with `id` (its place) and `data` (JSON), until the job is over.",
            "content": {MEDIA_TYPE: {"schema": schema}},
        },
        204: {"description": "The job is over and all was seen: do not reconnect."},
        **problems(404),
    }
