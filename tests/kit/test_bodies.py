"""Bodies of requests: bounded each and together."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pavo.kit.listening.counted_values import CountedValues
from pavo.kit.requests import MAX_BODY_BYTES, MAX_VALUES, SMALL_BODY_BYTES, BodyLimit

MOST = 3_000_000
CHUNK = 10_000


async def counting(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells how much it was sent."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


class Sent:
    """A request whose body arrives in chunks, its end when `end` is set."""

    def __init__(self, limit: BodyLimit, size: int, path: str = "/") -> None:
        self.end = asyncio.Event()
        self._chunks: Iterator[int] = iter([CHUNK] * (size // CHUNK))
        self.all_taken = asyncio.Event()
        self.answer: list[Message] = []
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        self.served = asyncio.create_task(limit(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        for size in self._chunks:
            return {"type": "http.request", "body": b"x" * size, "more_body": True}
        self.all_taken.set()
        await self.end.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        self.answer.append(message)

    async def answered(self) -> tuple[int, bytes]:
        """Its status and body."""
        self.end.set()
        async with asyncio.timeout(10):
            await self.served
        return self.answer[0]["status"], self.answer[1]["body"]

    def header(self, name: bytes) -> bytes | None:
        """One of the answer's."""
        return dict(self.answer[0]["headers"]).get(name)


async def test_bodies_are_bounded_together() -> None:
    limit = BodyLimit(counting, most_in_all=MOST)
    held = [Sent(limit, 1_500_000) for _ in range(2)]
    for request in held:
        await request.all_taken.wait()
    refused = Sent(limit, 1_500_000)
    status, problem = await refused.answered()
    assert status == 503 and b"large bodies" in problem and refused.header(b"retry-after") == b"1"
    small = Sent(limit, 3 * CHUNK)
    assert 3 * CHUNK <= SMALL_BODY_BYTES and await small.answered() == (200, b"30000"), "others are not kept out"
    assert [await request.answered() for request in held] == [(200, b"1500000")] * 2
    assert (await Sent(limit, 1_500_000).answered())[0] == 200, "what was held is free again"


async def test_what_breaks_off_is_not_held() -> None:
    limit = BodyLimit(counting, most_in_all=MOST)
    for _ in range(3):
        left = Sent(limit, 1_500_000)
        await left.all_taken.wait()
        left.served.cancel()
        await asyncio.gather(left.served, return_exceptions=True)
    assert (await Sent(limit, MAX_BODY_BYTES + CHUNK).answered())[0] == 413
    assert (await Sent(limit, 1_900_000).answered())[0] == 200


async def sent_whole(body: bytes, app: ASGIApp = counting) -> tuple[int, dict[str, Any]]:
    answer: list[Message] = []
    pieces = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]

    async def receive() -> Message:
        if not pieces:  # then nothing comes but the client's leaving
            await asyncio.wait_for(asyncio.Event().wait(), 5)
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        answer.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    await BodyLimit(app)(scope, receive, send)
    assert not pieces
    found: object = json.loads(answer[1]["body"])
    return answer[0]["status"], found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


LONG_TEXT = json.dumps({"prompt": '[1,{},"' * 150_000}).encode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" + b"[]," * 600_000 + b"0]", 413),
        (json.dumps({f"unknown {number}": 0 for number in range(60_000)}).encode(), 413),
        (json.dumps(["[1,2]"] * 60_000).encode("utf-16"), 422),
        (b'["\xff", ' + b"[]," * 600_000 + b"0]", 422),
        (json.dumps({str(number): [] for number in range(MAX_VALUES // 2 - 1)}).encode(), 200),
        (LONG_TEXT, 200),
        (json.dumps("\\" * 900_000).encode(), 200),
    ],
    ids=["lists", "members", "UTF-16", "no UTF-8", "large options", "what looks like values", "backslashes"],
)
async def test_a_body_is_bounded_in_values(body: bytes, status: int) -> None:
    """Each of those that are refused would cost the event loop seconds and tens of megabytes."""
    assert SMALL_BODY_BYTES < len(body) < MAX_BODY_BYTES
    found, problem = await sent_whole(body)
    assert found == status, "and all of it was read, so that a client that still sends learns why"
    assert status == 200 or (problem["field"] == "body" and problem["remedy"])


def values_in(value: Any) -> int:
    items: list[Any] = []
    if isinstance(value, dict):
        items = list(value.values())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    elif isinstance(value, list):
        items = value  # pyright: ignore[reportUnknownVariableType]
    else:
        return 0
    return max(1, len(items)) + sum(map(values_in, items))


NASTY = st.text(alphabet='\\"[{,é', max_size=5)
JSON = st.recursive(
    st.none() | st.integers() | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.integers(1, 9))
def test_values_are_counted_wherever_the_body_is_cut(value: Any, size: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    counted = CountedValues()
    for at in range(0, len(body), size):
        counted.take(body[at : at + size])
    assert counted.count == values_in(value)


async def test_a_body_is_held_until_the_answer_begins() -> None:
    """A stream answers for hours; sixty of them with large bodies must not lock out everybody else's."""
    begun, end = asyncio.Event(), asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/stream":
            await counting(scope, receive, send)
            return
        await Request(scope, receive).body()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await end.wait()

    limit = BodyLimit(stream, most_in_all=1_600_000)
    streaming = Sent(limit, 1_500_000, "/stream")
    streaming.end.set()
    await begun.wait()
    assert (await Sent(limit, 1_500_000).answered())[0] == 200
    end.set()
    await streaming.served
