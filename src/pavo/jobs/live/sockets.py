"""A WebSocket as an answer to a request: messages of several sources, in turn, only as fast as they are read."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pavo.errors import InvalidInput, Unavailable
from pavo.kit.cancellation import end
from pavo.kit.listening.connection import EXTENSION, StreamEnded
from pavo.kit.listening.socket_connection import SocketConnection
from pavo.kit.listening.websocket import Code, Opcode, accept_of
from pavo.observe.http import answered

PING_SECONDS: Final = 9.0
"""So often a client is greeted, so that nobody on the way takes the connection for a dead one."""

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Sends a JSON text, once all before it are with the kernel."""
Source: TypeAlias = Callable[[Write], Awaitable[None]]
"""Writes what it has to say until there is nothing more."""


def accepted(request: Request) -> bytes:
    """What answers the handshake of a client.

    Raises:
        InvalidInput: the request wants no WebSocket of version 13.
    """
    headers = request.headers
    accept = accept_of(headers.get("sec-websocket-key", "").encode("latin-1"))
    upgrade = "websocket" in headers.get("upgrade", "").lower() and "upgrade" in headers.get("connection", "").lower()
    if not upgrade or accept is None or headers.get("sec-websocket-version") != "13":
        raise InvalidInput(
            "Here is a WebSocket, and this request wants none of version 13.",
            field="Upgrade",
            remedy="Open it with a client of WebSockets: ws://, or wss:// where the API has https.",
        )
    return accept


class Socket(Response):
    """Serves its sources until the client leaves, it is ended, or one of them ends.

    Args:
        accept: of `accepted`.
        sources: each runs for itself; their messages do not mix.
    """

    def __init__(self, accept: bytes, sources: Sequence[Source]) -> None:
        super().__init__()
        self._accept, self._sources = accept, sources
        self._turn = asyncio.Lock()
        self._connection: SocketConnection | None = None
        self._stop = asyncio.Event()
        self.left = False
        """Whether its client has left, or it was ended."""
        self._reason: tuple[Code, str] = (Code.GOING_AWAY, "come back with the last cursor")

    def end(self, reason: str) -> None:
        """End it, and tell its client why."""
        self.left, self._reason = True, (Code.POLICY, reason)
        self._stop.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        connection: SocketConnection | None = scope.get("extensions", {}).get(EXTENSION)
        if connection is None:
            raise Unavailable("This server offers no WebSockets.", dependency="api")
        self._connection = connection
        if connection.begin_socket(self._accept):
            answered(scope, 101)
        tasks = [asyncio.create_task(self._serve(each)) for each in (*self._sources, self._greet)]
        tasks += [asyncio.create_task(_left(receive)), asyncio.create_task(_wait(self._stop))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.left = True
            await end(*tasks)
            connection.end_socket(*self._reason)

    async def _serve(self, source: Source) -> None:
        with suppress(StreamEnded):
            await source(self._write)

    async def _write(self, text: bytes, opcode: Opcode = Opcode.TEXT) -> None:
        assert self._connection is not None, "it is being served"
        async with self._turn:
            await self._connection.write_message(text, opcode)

    async def _greet(self, _: Write) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            await self._write(b"", Opcode.PING)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
