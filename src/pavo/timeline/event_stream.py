"""A timeline as server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Send

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nobody on the way keeps or gathers it."""


class EventStream(StreamingResponse):
    """Sends (seq, JSON) as `id` and `data`; an empty list becomes a comment that keeps the connection alive."""

    media_type = "text/event-stream"

    def __init__(self, found: AsyncGenerator[list[tuple[int, bytes]]], status_code: int = 200) -> None:
        self._frames = _frames(found)
        super().__init__(self._frames, status_code, headers=HEADERS)

    async def stream_response(self, send: Send) -> None:
        """Send until the end, and tell the source when the client has left."""
        async with aclosing(self._frames):
            await super().stream_response(send)


async def _frames(found: AsyncGenerator[list[tuple[int, bytes]]]) -> AsyncGenerator[bytes]:
    async with aclosing(found):
        # An early comment, so that a viewer of a quiet subject knows at once that it is connected.
        yield b": connected\n\n"
        async for events in found:
            yield b"".join(b"id: %d\ndata: %s\n\n" % event for event in events) or b": keep-alive\n\n"
