"""One connection to the API: uvicorn's protocol, which bounds nothing, with bounds.

uvicorn itself ends idle connections between requests, and stops reading a body that nobody takes. What it lacks is
here: a head's size and time, a body's time, requests sent ahead, clients that do not take their answers; and, for
streams, that viewers share the bytes of an event, and how to end one that does not read.
"""

import logging
import socket
import struct
import sys
from asyncio import AbstractEventLoop, Transport
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from pavo.errors import BadRequest, InvalidInput, PavoError, TooLarge, Unavailable
from pavo.kit.listening.connections import Connections
from pavo.kit.problem import PROBLEM_JSON, problem_bytes

logger = logging.getLogger(__name__)

EXTENSION: Final = "pavo.connection"
"""The ASGI extension under which an application finds the connection of its request."""
LINGER_SECONDS: Final = 2.0
"""How long a refused client may go on sending and reading: closed at once, it would lose the reason."""
LEAST_RATE: Final = 1_000
"""Bytes a second; a client that takes less counts as one that takes nothing."""
KERNEL_BYTES: Final = 65_536
"""What the kernel may keep of a stream for a viewer; by itself it takes up to 4 MB for each."""

FORGET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket whose closing resets the connection."""


class StreamEnded(Exception):
    """The stream was ended from outside; whatever was to be said has been sent."""


class _Phase(Enum):
    HEAD = auto()
    BODY = auto()
    TAKEN = auto()
    """The request is complete; it is answered, or was."""


class Connection(HttpToolsProtocol):
    """A connection with limits; `connections` counts and watches it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = connections
        self.logger = cast("logging.Logger", connections.warnings)
        self._limits = connections.limits
        self.address = ""
        self._phase, self._since = _Phase.HEAD, self.loop.time()
        self._head = 0
        self._framing = 0
        """Bytes of the body since its last content: trailers, which the parser gathers too, or what is no body."""
        self._asked = False
        """Whether it ever began a request."""
        self._refusal: tuple[int, PavoError] | None = None
        self._ending: float | None = None
        """When it was refused or its stream ended."""
        self._streaming = False
        self._took = self._since
        """When the client last took something, or there was nothing to take."""
        self._unsent = 0
        self._left = 0
        """What the client has not taken, with what the kernel keeps for it."""

    # From the client

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if (refused := self._all.add(self)) is not None:
            self._refuse(503, refused)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), self._limits.head_bytes):
            if self._ending is not None or self.transport.is_closing():
                return  # read and dropped, so that the client gets to reading the reason
            self._feed(data[start : start + self._limits.head_bytes])

    def _feed(self, data: bytes) -> None:
        before = self._phase
        self._framing += len(data)
        super().data_received(data)
        if self._ending is not None or self._phase is not before:
            return
        # The parser gathers an unfinished header itself, so what it has not told of counts as well.
        if before is _Phase.HEAD:
            self._head += len(data)
            if self._head > self._limits.head_bytes:
                self._refuse(*self._too_much())
        elif before is _Phase.BODY and self._framing > self._limits.head_bytes:
            detail = f"The body's trailers have more than {self._limits.head_bytes:,} bytes."
            self._refuse(431, TooLarge(detail, field="body", remedy="Send no trailers: nothing here reads them."))

    def _too_much(self) -> tuple[int, PavoError]:
        if len(self.url) > self._limits.url_bytes:
            detail = f"The address has more than {self._limits.url_bytes:,} bytes."
            return 414, TooLarge(detail, field="url", remedy="Send a shorter one.")
        detail = f"The headers have more than {self._limits.head_bytes:,} bytes."
        return 431, TooLarge(detail, field="headers", remedy="Send fewer or shorter headers.")

    def send_400_response(self, msg: str) -> None:
        """Where uvicorn answers plain text: what the parser, or a callback below, does not take."""
        malformed = BadRequest("This is no HTTP request.", field="request", remedy="Speak HTTP/1.1 here.")
        self._refuse(*(self._refusal or (400, malformed)))

    # From the parser; what is raised here comes back as `send_400_response`

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head, self._asked = 0, True
        if self._phase is not _Phase.HEAD:
            self._enter(_Phase.HEAD)
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: self}

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.url_bytes:
            self._give_up(*self._too_much())

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is not _Phase.HEAD:
            return  # a trailer, which must not become a header of the request that is being answered
        super().on_header(name, value)
        if len(self.headers) > self._limits.headers:
            detail = f"There are more than {self._limits.headers} headers."
            self._give_up(431, TooLarge(detail, field="headers", remedy="Send fewer headers."))

    def on_headers_complete(self) -> None:
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > self._limits.head_bytes:
            self._give_up(*self._too_much())
        if len(self.pipeline) >= self._limits.pipelined:
            detail = f"More than {self._limits.pipelined} requests were sent ahead."
            self._give_up(400, BadRequest(detail, field="request", remedy="Wait for an answer."))
        self._enter(_Phase.BODY)
        self._framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._enter(_Phase.TAKEN)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._phase is _Phase.TAKEN:
            self._since = self.loop.time()
        super().on_response_complete()

    def _enter(self, phase: _Phase) -> None:
        self._phase, self._since = phase, self.loop.time()

    def _give_up(self, status: int, error: PavoError) -> None:
        self._refusal = (status, error)
        raise error

    # What is refused

    def _refuse(self, status: int, error: PavoError) -> None:
        """Answer with a problem and read no more; nothing but the end where another answer has begun."""
        if self._ending is not None:
            return
        self._ending = self.loop.time()
        answer = self._answer()
        if answer is not None and answer.response_started:
            self.abort()
            return
        if answer is not None:
            self._disconnect()
        self.transport.write(_problem(status, error))
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _answer(self) -> RequestResponseCycle | None:
        """The one that is under way."""
        last = cast("RequestResponseCycle | None", self.cycle)
        return None if last is None or last.response_complete else last

    def _disconnect(self) -> None:
        """Tell the application that the client has left."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.flow.resume_writing()

    # Time

    def look(self, now: float) -> None:
        """End it if it has taken too long; every second."""
        if self._ending is not None:
            if now - self._ending > LINGER_SECONDS:
                self._close()
            return
        self._look_at_sending(now)
        if self.flow.read_paused or (self._is_idle() and self.waits()):
            self._since = now  # by this side: it cannot send, or has enough to do with taking its answer
        elif self._phase is _Phase.HEAD and now - self._since > self._limits.head_seconds:
            self._refuse_late("head", self._limits.head_seconds)
        elif self._phase is _Phase.BODY and now - self._since > self._limits.body_seconds:
            self._refuse_late("body", self._limits.body_seconds)
        elif self._is_idle() and now - self._since > self.timeout_keep_alive + self._limits.head_seconds:
            self._close()  # sends line breaks, which keep uvicorn's own timer from ending it

    def _close(self) -> None:
        if self.transport.get_write_buffer_size():
            self.abort()
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """As uvicorn's; but who still takes an answer does not keep a connection for nothing."""
        if self.waits() and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def _is_idle(self) -> bool:
        return self._phase is _Phase.TAKEN and self._answer() is None

    def _refuse_late(self, part: str, seconds: float) -> None:
        if not self._asked or (part == "body" and self._answer() is None):
            self._close()  # it wants no answer, or has it
            return
        detail = f"The request's {part} did not come within {seconds:g} s."
        self._refuse(408, InvalidInput(detail, field=part, remedy="Send it at once."))

    def _look_at_sending(self, now: float) -> None:
        before, self._unsent = self._left, self.transport.get_write_buffer_size()
        self._left = self._unsent + self._kept() if self._unsent else 0
        if not self._unsent or self._left <= before - LEAST_RATE:
            self._took = now
        elif now - self._took > self._limits.send_seconds:
            if self._streaming:
                self.end_stream(f"nothing was read for {self._limits.send_seconds:g} s")
            else:
                self.abort()

    def _kept(self) -> int:
        """Bytes that the kernel keeps until the client takes them; it asks for more once a third of its MB is free."""
        bare = self.transport.get_extra_info("socket")
        try:
            return 0 if bare is None else int.from_bytes(ioctl(bare.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
        except (OSError, ValueError):  # there is no such question here, or no such socket any more
            return 0

    def resume_writing(self) -> None:
        """All that waited is with the kernel."""
        self._took = self.loop.time()
        super().resume_writing()

    def unsent(self) -> int:
        """Bytes of an answer that the client has not taken."""
        return 0 if self._streaming or self._ending is not None else self._unsent

    def untaken(self) -> int:
        """Bytes of a body that the application has not taken yet."""
        answer = self._answer()
        return len(answer.body) if answer is not None else 0

    def waited_since(self) -> float:
        """When it last took something."""
        return self._took

    def abort(self) -> None:
        """End it at once; the kernel too forgets what it has not sent, instead of waiting for whoever does not read."""
        bare = self.transport.get_extra_info("socket")
        if bare is not None:
            with suppress(OSError):  # it is closed already
                bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, FORGET)
        answer = self._answer()
        if answer is not None:
            answer.body = bytearray()  # what works on the answer goes on for a while, and holds this
        self.transport.abort()

    # Streams

    def begin_stream(self) -> None:
        """What follows is written by `write_shared` alone, one piece after the other."""
        self._streaming = True
        if self.transport.is_closing():
            return  # the client has left already; nothing is written to it
        self.transport.set_write_buffer_limits(high=0)
        bare = self.transport.get_extra_info("socket")
        if bare is not None and bare.family in (socket.AF_INET, socket.AF_INET6):
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    async def write_shared(self, pieces: Sequence[bytes]) -> None:
        """Send one chunk, and wait until the kernel has all of it. The pieces are not copied.

        Raises:
            StreamEnded: `end_stream` was called.
        """
        if self._ending is not None:
            raise StreamEnded
        if self.transport.is_closing() or self.cycle.disconnected:
            return
        self.transport.writelines(_chunk(pieces))
        await self.flow.drain()
        if self._ending is not None:
            raise StreamEnded

    def write_at_once(self, data: bytes) -> bool:
        """Send one chunk between two of `write_shared`, unless something waits to be sent; whether it did."""
        if self._ending is not None or self.transport.is_closing() or self.cycle.disconnected or self.waits():
            return False
        self.transport.writelines(_chunk([data]))
        return True

    def waits(self) -> int:
        """Bytes of a stream or an answer that the kernel has not taken."""
        return self.transport.get_write_buffer_size()

    def end_stream(self, reason: str) -> None:
        """Tell the reason as a comment, after what was begun, and end the connection.

        Whoever does not read does not get it. Where nothing waits to be read, nothing happens: the application ends the
        stream itself, and the connection stays.
        """
        if self._ending is not None or self.transport.is_closing() or not self.transport.get_write_buffer_size():
            return
        self._ending = self.loop.time()
        self.transport.writelines([*_chunk([last_comment(reason)]), b"0\r\n\r\n"])
        self._disconnect()
        self.transport.close()


def last_comment(reason: str) -> bytes:
    """What a stream that ends before its time ends with."""
    return f": ended: {reason}\n\n".encode()


def _chunk(pieces: Sequence[bytes]) -> list[bytes]:
    return [b"%x\r\n" % sum(map(len, pieces)), *pieces, b"\r\n"]


def _problem(status: int, error: PavoError) -> bytes:
    body = problem_bytes(status, error)
    later = [b"retry-after: %d" % error.retry_after] if isinstance(error, Unavailable) else []
    head = [
        STATUS_LINE[status].rstrip(),
        b"content-type: " + PROBLEM_JSON.encode(),
        b"content-length: %d" % len(body),
        b"connection: close",
        *later,
    ]
    return b"\r\n".join([*head, b"", body])
