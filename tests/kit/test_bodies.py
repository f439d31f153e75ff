"""Bodies of requests: bounded each and together."""

import asyncio
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from pavo.kit.requests import MAX_BODY_BYTES, SMALL_BODY_BYTES, BodyLimit

MOST = 3_000_000
CHUNK = 10_000


async def counting(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells how much it was sent."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


class Sent:
    """A request whose body arrives in chunks, its end when `end` is set."""

    def __init__(self, limit: BodyLimit, size: int) -> None:
        self.end = asyncio.Event()
        self._chunks: Iterator[int] = iter([CHUNK] * (size // CHUNK))
        self.all_taken = asyncio.Event()
        self.answer: list[Message] = []
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
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
