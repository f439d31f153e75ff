"""WebSockets (RFC 6455), as much of them as a server needs that sends texts and is told nothing. Pure."""

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""
MAX_FRAME: Final = 65_536
"""Bytes of a frame of a client's at most: nothing that it says is needed."""
MAX_CONTROL: Final = 125
"""Section 5.5."""


class Opcode(IntEnum):
    """Section 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Code(IntEnum):
    """Why a connection is closed, section 7.4.1."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    POLICY = 1008
    TOO_LARGE = 1009
    TRY_LATER = 1013


class ProtocolError(Exception):
    """What a client sent is no WebSocket's; `code` tells it why."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


def accept_of(key: bytes) -> bytes | None:
    """What answers a client's Sec-WebSocket-Key; None: it is none."""
    try:
        if len(base64.b64decode(key.strip(), validate=True)) != 16:
            return None
    except (ValueError, binascii.Error):
        return None
    return base64.b64encode(hashlib.sha1(key.strip() + MAGIC, usedforsecurity=False).digest())


def frame(opcode: Opcode, payload: bytes) -> Sequence[bytes]:
    """A whole message as a server sends it: head and payload, which is not copied."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
    return head, payload


def closing(code: Code, reason: str = "") -> Sequence[bytes]:
    """The frame that begins or answers a close."""
    return frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()[: MAX_CONTROL - 2])


@dataclass(slots=True)
class Incoming:
    """What a client sends, cut into frames."""

    _buffer: bytearray = field(default_factory=bytearray)
    _continued: bool = False

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """The control frames that are complete now, in order; what else it says is passed over.

        Raises:
            ProtocolError: it is none of a WebSocket's client, or too large.
        """
        self._buffer += data
        found = list[tuple[Opcode, bytes]]()
        while (each := self._next()) is not None:
            if each[0] >= Opcode.CLOSE:
                found.append(each)
        return found

    def _next(self) -> tuple[Opcode, bytes] | None:
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[0], self._buffer[1]
        opcode = self._judge(first, second)
        size, at = self._size(second & 0x7F)
        if size is None or len(self._buffer) < at + 4 + size:
            return None
        mask, payload = self._buffer[at : at + 4], self._buffer[at + 4 : at + 4 + size]
        del self._buffer[: at + 4 + size]
        if opcode < Opcode.CLOSE:
            self._continued = not first & 0x80
        return opcode, bytes(each ^ mask[index % 4] for index, each in enumerate(payload))

    def _judge(self, first: int, second: int) -> Opcode:
        """Sections 5.2, 5.4 and 5.5."""
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError as error:
            raise ProtocolError(Code.PROTOCOL_ERROR) from error
        control = opcode >= Opcode.CLOSE
        in_order = control or (opcode == Opcode.CONTINUATION) == self._continued
        whole = not control or (bool(first & 0x80) and second & 0x7F <= MAX_CONTROL)
        if first & 0x70 or not second & 0x80 or not in_order or not whole:
            raise ProtocolError(Code.PROTOCOL_ERROR)
        return opcode

    def _size(self, short: int) -> tuple[int | None, int]:
        """How long the payload is, where that has come, and where its mask begins."""
        layout = {126: "!H", 127: "!Q"}.get(short)
        if layout is None:
            return short, 2
        end = 2 + struct.calcsize(layout)
        if len(self._buffer) < end:
            return None, end
        size = int(struct.unpack(layout, bytes(self._buffer[2:end]))[0])
        if size > MAX_FRAME:
            raise ProtocolError(Code.TOO_LARGE)
        return size, end
