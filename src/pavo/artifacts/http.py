"""HTTP of an artifact's content: ranges, conditions, and a download that ends when its reader may read no more.

It imports the web framework: a worker has none, and never imports this.
"""

import asyncio
import os
import re
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pavo.artifacts.domain import CHUNK_BYTES, Artifact
from pavo.artifacts.service import Content
from pavo.errors import InvalidInput
from pavo.kit.listening.connection import EXTENSION, Connection
from pavo.kit.problem import problems
from pavo.kit.requests import problem_response

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-cache",
    "Accept-Ranges": "bytes",
}
"""Whatever an agent has kept: no browser runs it, or takes it for something else."""
_CONTENT: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The content.", "content": _CONTENT},
    206: {
        "description": "The part that `Range` names; of several ranges, all of it is answered instead.",
        "content": _CONTENT,
    },
    304: {"description": "It is what `If-None-Match` names."},
    **problems(404, 416),
}


class Download(Response):
    """Sends an open content, or a part of it, and closes it.

    It is a `Lasting` connection: `end` cuts it. A client that was sent as much as was declared has all.
    """

    def __init__(self, content: Content, first: int, count: int, status_code: int = 200) -> None:
        self._content, self._first, self._left = content, first, count
        artifact = content.artifact
        super().__init__(status_code=status_code)
        # Set apart: the framework would add a charset to texts, which nobody knows.
        self.headers["Content-Type"] = artifact.media_type
        self.headers["ETag"] = _etag(artifact)
        self.headers["Content-Disposition"] = disposition(artifact.name)
        self.headers.update(_SAFE)
        if status_code == 206:
            self.headers["Content-Range"] = f"bytes {first}-{first + count - 1}/{artifact.bytes}"
        if status_code == 304:
            del self.headers["Content-Length"]
        else:
            self.headers["Content-Length"] = str(count)
        self._connection: Connection | None = None
        self.left = False
        """Whether it has ended by itself."""
        self._ended = False

    def end(self, reason: str) -> None:
        """Cut it: there is no place for a reason in the middle of a file."""
        self._ended = True
        if self._connection is not None and not self.left:
            self._connection.abort()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; of a content of any size, a chunk at a time is in memory."""
        self._connection = scope.get("extensions", {}).get(EXTENSION)
        leaving = asyncio.create_task(_until_left(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await self._send(send, leaving)
            if not self._ended:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self.left = True
            leaving.cancel()
            os.close(self._content.descriptor)

    async def _send(self, send: Send, leaving: "asyncio.Task[None]") -> None:
        while self._left and not self._ended and not leaving.done():
            size = min(CHUNK_BYTES, self._left)
            piece = await asyncio.to_thread(os.pread, self._content.descriptor, size, self._first)
            if not piece:
                raise OSError(f"The content of artifact {self._content.artifact.id} is shorter than it was.")
            self._first += len(piece)
            self._left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})


def download(content: Content, request: Request) -> Response:
    """What the request wants of it: a `Download`, or 416."""
    first, count, status = _part(content.artifact, request)
    if status != 416:
        return Download(content, first, count, status)
    os.close(content.descriptor)
    size = content.artifact.bytes
    refused = InvalidInput(f"The artifact has {size:,} bytes.", field="Range", remedy="Ask for a part that it has.")
    return problem_response(416, refused, {"Content-Range": f"bytes */{size}"})


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def disposition(name: str) -> str:
    """The value of Content-Disposition: it is saved, never shown, under its name without folders."""
    base = name.rpartition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9 ._+()-]", "_", base)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(base, safe='')}"


def _etag(artifact: Artifact) -> str:
    return f'"{artifact.sha256}"'


def _part(artifact: Artifact, request: Request) -> tuple[int, int, int]:
    """Where to begin, how many bytes, and the status."""
    etag = _etag(artifact)
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return 0, 0, 304
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    condition = request.headers.get("if-range")
    if asked is None or not (asked[1] or asked[2]) or (condition is not None and condition != etag):
        return 0, artifact.bytes, 200
    if not asked[1]:
        count = min(int(asked[2]), artifact.bytes)
        return (artifact.bytes - count, count, 206) if count else (0, 0, 416)
    first, last = int(asked[1]), int(asked[2]) if asked[2] else artifact.bytes - 1
    if asked[2] and last < first:
        return 0, artifact.bytes, 200  # no range at all
    if first >= artifact.bytes:
        return 0, 0, 416
    return first, min(last, artifact.bytes - 1) - first + 1, 206
