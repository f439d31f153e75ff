"""Frames of WebSockets: what a client may send, and what is refused."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.kit.listening.websocket import Code, Incoming, Opcode, ProtocolError, accept_of, closing, frame


def masked(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    """A frame as clients send it."""
    mask, size = os.urandom(4), len(payload)
    head = bytes([first | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    return head + mask + bytes(each ^ mask[index % 4] for index, each in enumerate(payload))


def test_the_answer_of_the_standard() -> None:
    """RFC 6455, section 1.3."""
    assert accept_of(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    for key in (b"", b"x", b"dGhl", b"\xff" * 24):
        assert accept_of(key) is None


@given(st.lists(st.tuples(st.sampled_from([1, 2, 9, 10]), st.binary(max_size=125))), st.integers(1, 50))
def test_frames_however_they_are_cut(sent: list[tuple[int, bytes]], step: int) -> None:
    data = b"".join(masked(opcode, payload) for opcode, payload in sent)
    incoming, found = Incoming(), list[tuple[Opcode, bytes]]()
    for start in range(0, len(data), step):
        found += incoming.feed(data[start : start + step])
    assert found == [(opcode, payload) for opcode, payload in sent if opcode >= 8]


@given(st.binary(max_size=500))
def test_garbage_is_refused_or_waited_for(data: bytes) -> None:
    try:
        found = Incoming().feed(data)
    except ProtocolError as error:
        assert error.code in (Code.PROTOCOL_ERROR, Code.TOO_LARGE)
    else:
        assert all(opcode >= Opcode.CLOSE for opcode, _ in found)


def test_what_no_client_may_send() -> None:
    head = b"\x80" + struct.pack("!Q", 2**62)
    for data, code in (
        (frame_bytes(Opcode.TEXT), Code.PROTOCOL_ERROR),  # not masked
        (masked(1, b"x", first=0xC0), Code.PROTOCOL_ERROR),  # a reserved bit
        (masked(3, b""), Code.PROTOCOL_ERROR),  # a reserved opcode
        (masked(9, b"x" * 126), Code.PROTOCOL_ERROR),  # a long control frame
        (masked(9, b"x", first=0), Code.PROTOCOL_ERROR),  # one in parts
        (masked(0, b"x"), Code.PROTOCOL_ERROR),  # goes on with nothing
        (masked(1, b"x", first=0) + masked(1, b"x"), Code.PROTOCOL_ERROR),  # another message in between
        (b"\x81\xff" + head[1:], Code.TOO_LARGE),
    ):
        with pytest.raises(ProtocolError) as refused:
            Incoming().feed(data)
        assert refused.value.code == code, data


def frame_bytes(opcode: Opcode) -> bytes:
    return b"".join(frame(opcode, b"x"))


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_sizes_of_what_is_sent(size: int) -> None:
    head, payload = frame(Opcode.TEXT, b"x" * size)
    assert len(payload) == size and len(head) == (2 if size < 126 else 4 if size < 65_536 else 10)
    assert len(b"".join(closing(Code.POLICY, "x" * 500))) <= 127
