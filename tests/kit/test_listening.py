"""What a hostile client may take of the listener: bytes and seconds of a request, connections, answers left unread."""

import asyncio
import json
import select
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from pavo.kit.cancellation import end
from pavo.kit.listening import connections as watching
from pavo.kit.listening import rare_warnings
from pavo.kit.listening.connection import EXTENSION, Connection
from pavo.kit.listening.connections import AT_A_TIME, Connections
from pavo.kit.listening.limits import Limits
from tests.driving import until

LARGE = b"x" * 8_000_000
KERNEL_BYTES = 200_000
"""As much as every kernel keeps of an answer for a client; by itself it keeps some MB, or all of it."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and answers 8 MB at /large, else a word."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
    body = LARGE if scope["path"] == "/large" else b"fine"
    if body is LARGE:
        connection: Connection = scope["extensions"][EXTENSION]
        bare = connection.transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(limits: Limits, app: ASGIApp = application) -> AsyncGenerator[int]:
    """A port."""
    connections = Connections(limits)
    config = uvicorn.Config(
        app,
        http=partial(Connection, connections=connections),  # pyright: ignore[reportArgumentType]
        lifespan="off",
        log_config=None,
        port=0,
    )
    server = uvicorn.Server(config)
    serving, watch = asyncio.create_task(server.serve()), asyncio.create_task(connections.watch())

    async def started() -> bool:
        return server.started

    await until(started, what="the listener")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        watch.cancel()
        await asyncio.gather(serving, watch, return_exceptions=True)


@asynccontextmanager
async def connected(port: int) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def answers(port: int, *sent: bytes, seconds: float = 15) -> tuple[int, dict[str, Any]]:
    """Send the pieces, read until the end: the status and the problem."""
    async with connected(port) as (reader, writer):
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(seconds):
            answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return 0, {}
    assert head.count(b"HTTP/1.1") == 1, "one answer"
    return int(head.split()[1]), json.loads(body) if b"problem+json" in head else {}


GET = b"GET /%s HTTP/1.1\r\nHost: here\r\n"
POST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n"


async def test_clients_that_speak_no_http_cost_a_line_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(Limits()) as port:
        for _ in range(20):
            assert (await answers(port, b"\x16\x03\x01\x02\x00\x01"))[0] == 400
        said = "Invalid HTTP request received."
        assert [record.getMessage() for record in caplog.records if said in record.getMessage()] == [said]
        monkeypatch.setattr(rare_warnings, "ONCE_IN_SECONDS", 0.0)
        await answers(port, b"\x16\x03\x01\x02\x00\x01")
    assert caplog.records[-1].getMessage() == f"{said} (19 more since this was said last)"


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        ([GET % (b"a" * 8_200) + b"\r\n"], 414, "url"),
        ([b"GET /" + b"a" * 40_000], 414, "url"),
        ([GET % b"" + b"X: " + b"a" * 33_000 + b"\r\n\r\n"], 431, "headers"),
        ([GET % b"" + b"X: ", *[b"a" * 50_000] * 40], 431, "headers"),
        ([GET % b"", *[b"X: a\r\n"] * 100_000], 431, "headers"),
        ([GET % b"" + b"X: a\r\n" * 100 + b"\r\n"], 431, "headers"),
        ([b"\x16\x03\x01\x02\x00\x01"], 400, "request"),
        ([(GET % b"large" + b"\r\n") + (GET % b"" + b"\r\n") * 500], 0, None),
    ],
    ids=["url", "endless url", "header", "endless header", "endless headers", "101 headers", "TLS", "sent ahead"],
)
async def test_a_head_is_bounded_in_bytes(sent: list[bytes], status: int, field: str | None) -> None:
    async with listening(Limits()) as port:
        try:
            found, problem = await answers(port, *sent)
        except ConnectionError:  # what came after the refusal was dropped, and the client was told by a reset
            found, problem = status, {"field": field}
            assert len(sent) > 1
        if status:
            assert (found, problem["field"]) == (status, field)
            assert len(sent) > 1 or problem["remedy"]
        assert (await answers(port, GET % b"" + b"Connection: close\r\n\r\n"))[0] == 200, "others are served"


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        ([], 0, None),
        ([b"\r\n"], 0, None),
        ([b"GET /"], 408, "head"),
        ([GET % b"" + b"X"], 408, "head"),
        ([POST + b"half"], 408, "body"),
        ([GET % b"" + b"\r\n" + POST], 408, "body"),
    ],
)
async def test_requests_that_do_not_come_end(
    sent: list[bytes], status: int, field: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    async with listening(Limits(head_seconds=1.5, body_seconds=0.5)) as port:
        if len(sent[0:1]) and sent[0].count(b"HTTP/1.1") == 2:
            async with connected(port) as (reader, writer), asyncio.timeout(10):
                writer.write(sent[0])
                answer = await reader.read()
            assert b" 200 " in answer and b" 408 " in answer
            return
        found, problem = await answers(port, *sent, seconds=10)
        assert (found, problem.get("field")) == (status, field)


async def test_a_drip_is_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    async with listening(Limits(head_seconds=0.5)) as port, connected(port) as (reader, writer):
        ended = asyncio.create_task(reader.read())
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nX: ")
        async with asyncio.timeout(10):
            while not ended.done():
                writer.write(b"a")
                await asyncio.wait({ended}, timeout=0.05)
        assert b" 408 " in ended.result()


CHUNKED = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        [CHUNKED + b"0\r\nX: ", *[b"a" * 50_000] * 100],
        [CHUNKED + b"0\r\n", *[b"a" * 50_000] * 100],
        [CHUNKED + b"4\r\nbody\r\n0\r\n", *[b"X: a\r\n" * 8_000] * 100],
        [CHUNKED + b"5;x=", *[b"a" * 50_000] * 100],
    ],
    ids=["endless trailer", "endless name", "endless trailers", "endless extension"],
)
async def test_what_is_no_body_is_bounded_in_bytes(sent: list[bytes]) -> None:
    """The parser gathers a trailer as it does a header, and copies all of it at each piece."""
    async with listening(Limits()) as port:
        try:
            found, problem = await answers(port, *sent)
            assert (found, problem["field"]) == (431, "body")
        except ConnectionError:  # what came after the refusal was dropped
            pass
        status, _ = await answers(port, GET % b"" + b"Connection: close\r\n\r\n")
        assert status == 200, "others are served"


async def test_a_trailer_is_no_header() -> None:
    """It comes when the request is being answered, as whoever its headers say."""
    seen: list[list[tuple[bytes, bytes]]] = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        await application(scope, receive, send)
        seen.append(list(scope["headers"]))

    body = b"4\r\nbody\r\n0\r\nX-User-Email: eve@example.com\r\n\r\n"
    async with listening(Limits(), noting) as port:
        head = CHUNKED.replace(b"Host", b"Connection: close\r\nHost")
        assert (await answers(port, head + body))[0] == 200
    assert seen and not [name for name, _ in seen[0] if name == b"x-user-email"]


async def test_many_small_chunks_are_a_body() -> None:
    async with listening(Limits()) as port:
        head = CHUNKED.replace(b"Host", b"Connection: close\r\nHost")
        status, _ = await answers(port, head, *[b"1\r\na\r\n" * 1_000] * 100, b"0\r\n\r\n")
        assert status == 200


async def test_connections_of_an_address_are_bounded() -> None:
    async with listening(Limits(per_address=3, proxies=())) as port, AsyncExitStack() as opened:
        kept = [await opened.enter_async_context(connected(port)) for _ in range(3)]
        for _, writer in kept:
            writer.write(GET % b"" + b"\r\n")
        for reader, _ in kept:
            assert b" 200 " in await reader.readline()
        status, problem = await answers(port)
        assert (status, problem["code"]) == (503, "Unavailable") and "PAVO_PROXIES" in problem["remedy"]
        kept[0][1].close()

        async def served() -> bool:
            try:
                return (await answers(port, GET % b"" + b"Connection: close\r\n\r\n"))[0] == 200
            except ConnectionError:
                return False

        await until(served, what="a place for the next connection")


class Kept:
    """A connection that only counts."""

    def __init__(self, address: str) -> None:
        self.address = address


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        (["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3"], True),
        (["2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:1:4::1"], False),
        (["fe80::1%eth0", "fe80::2%eth0", "fe80::3"], True),
        (["192.0.2.1", "192.0.2.2", "192.0.2.3"], False),
        (["", "", ""], True),
    ],
)
def test_whoever_has_an_address_of_ipv6_has_all_that_begin_alike(addresses: list[str], refused: bool) -> None:
    connections = Connections(Limits(per_address=2))
    kept: Any = [Kept(address) for address in addresses]
    assert [connections.add(each) is not None for each in kept] == [False, False, refused]
    for each in kept:
        connections.remove(each)
    assert all(connections.add(each) is None for each in kept[:2]), "what left counts no more"


async def test_bodies_that_nobody_takes_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    end = asyncio.Event()

    async def not_reading(scope: Scope, receive: Receive, send: Send) -> None:
        await end.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    body = b"x" * 50_000
    head = POST.replace(b" 10\r", b" 50000\r").replace(b"Host", b"Connection: close\r\nHost")
    async with listening(Limits(untaken_bytes=120_000), not_reading) as port, AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(connected(port)) for _ in range(5)]
        for _, writer in clients:
            writer.write(head + body)
        reading = [asyncio.create_task(reader.read()) for reader, _ in clients]

        async def cut() -> bool:
            return sum(each.done() for each in reading) >= 3

        await until(cut, what="the end of three")
        end.set()
        found = await asyncio.gather(*reading, return_exceptions=True)
    assert sorted(isinstance(each, bytes) and b" 204 " in each for each in found) == [False] * 3 + [True] * 2


async def test_a_proxy_is_not_counted_and_all_together_are() -> None:
    async with listening(Limits(per_address=1, connections=4)) as port, AsyncExitStack() as opened:
        kept = [await opened.enter_async_context(connected(port)) for _ in range(4)]
        for reader, writer in kept:
            writer.write(GET % b"" + b"\r\n")
            assert b" 200 " in await reader.readline()
        assert (await answers(port))[0] == 503


def reader_of_nothing(port: int, more: bytes = b"") -> socket.socket:
    """A client that asks for 8 MB and leaves them."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(GET % b"large" + more + b"\r\n")
    return client


def was_reset(client: socket.socket) -> bool:
    poll = select.poll()
    poll.register(client, select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["stays", "is closing"])
async def test_who_does_not_take_an_answer_is_cut_off(more: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    async with listening(Limits(send_seconds=0.5)) as port:
        with reader_of_nothing(port, more) as client:

            async def cut() -> bool:
                with suppress(BlockingIOError, ConnectionResetError):
                    client.recv(1, socket.MSG_DONTWAIT)  # a byte now and then is no progress
                return was_reset(client)

            await until(cut, what="the end of the connection", seconds=15)


async def test_answers_left_unread_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    async with listening(Limits(unsent_bytes=20_000_000)) as port:
        with ExitStack() as opened:
            clients = [opened.enter_context(reader_of_nothing(port)) for _ in range(8)]

            async def cut() -> bool:
                return sum(map(was_reset, clients)) >= 6

            await until(cut, what="the end of the slowest")
            kept = [client for client in clients if not was_reset(client)]
            found = await asyncio.gather(*map(large_answer, kept))
        assert found == [LARGE, LARGE], "as much as may be left unread is for others to take"


async def large_answer(client: socket.socket) -> bytes:
    """All that a client is answered."""
    client.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(len(LARGE))
    finally:
        writer.close()


async def test_the_api_has_these_bounds(client: httpx2.AsyncClient) -> None:
    long = await client.get("/healthz", headers={"X-Long": "a" * 40_000})
    assert long.status_code == 431 and long.json()["code"] == "TooLarge"
    assert (await client.get(f"/healthz?{'a' * 9_000}")).status_code == 414


class Late:
    """A connection that is ended when it is looked at."""

    address = "203.0.113.7"

    def __init__(self, looked: list[int]) -> None:
        self._looked = looked

    def look(self, now: float) -> None:
        self._looked[-1] += 1

    def unsent(self) -> int:
        return 0

    def untaken(self) -> int:
        return 0

    def waited_since(self) -> float:
        return 0.0

    def abort(self) -> None:
        raise AssertionError("nothing is to be shed")


async def test_those_who_are_late_together_are_ended_a_few_at_a_time() -> None:
    connections = Connections(Limits())
    looked = [0]
    for _ in range(1_000):
        connections.add(Late(looked))
    watching = asyncio.create_task(connections.watch())
    async with asyncio.timeout(10):
        while sum(looked) < 1_000:
            looked.append(0)
            await asyncio.sleep(0)
    await end(watching)
    assert max(looked) == AT_A_TIME
