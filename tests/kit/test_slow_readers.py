"""Who takes an answer slowly gets all of it: only who takes nothing is cut off."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from fcntl import ioctl
from itertools import count
from termios import TIOCOUTQ

import pytest
from starlette.types import Receive, Scope, Send

from pavo.kit.listening import connections as watching
from pavo.kit.listening.connection import EXTENSION, LEAST_RATE, Connection
from pavo.kit.listening.limits import Limits
from tests.driving import until
from tests.kit.test_listening import GET, LARGE, application, listening

PIECE = 4_096


@pytest.fixture(autouse=True)
def looked_at_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests say when it is."""
    monkeypatch.setattr(watching, "LOOK_SECONDS", 1_000.0)


@asynccontextmanager
async def answered(limits: Limits) -> AsyncGenerator[tuple[socket.socket, Connection]]:
    """A client that has asked for 8 MB and taken none of them, and its connection."""
    connections: list[Connection] = []

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["extensions"][EXTENSION]
        await application(scope, receive, send)
        connections.append(connection)

    async def has_answered() -> bool:
        return bool(connections)

    async with listening(limits, answering) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(GET % b"large" + b"\r\n")
            await until(has_answered, what="the answer")
            assert connections[0].waits()
            yield client, connections[0]


async def test_a_large_answer_may_take_longer_than_a_connection_may_be_idle() -> None:
    async with answered(Limits(send_seconds=1_000)) as (client, connection):
        for seconds in (10, 20, 30):
            connection.look(connection.loop.time() + seconds)
            connection.timeout_keep_alive_handler()
            assert not connection.transport.is_closing()
        client.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=client)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(LARGE)) == LARGE
        writer.write(GET % b"" + b"\r\n")
        assert b" 200 " in await reader.readline(), "it serves the next request too"
        writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere the kernel does not tell what it keeps.")
async def test_who_takes_of_what_the_kernel_keeps_takes_something() -> None:
    """The kernel asks for more when much of it is taken, which with slow clients takes longer than they have."""
    async with answered(Limits(send_seconds=30)) as (client, connection):
        bare = connection.transport.get_extra_info("socket")

        def left() -> int:
            return connection.waits() + int.from_bytes(ioctl(bare.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)

        now = connection.loop.time()
        connection.look(now)
        before = left()

        async def some_taken() -> bool:
            with suppress(BlockingIOError):
                client.recv(PIECE, socket.MSG_DONTWAIT)
            return left() <= before - LEAST_RATE

        await until(some_taken, what="a client that takes something")
        connection.look(now + 31)
        assert not connection.transport.is_closing()
        later = count(2)

        async def cut() -> bool:
            connection.look(now + 31 * next(later))  # what was on its way to the client may still arrive
            return connection.transport.is_closing()

        await until(cut, what="the end of who takes nothing any more")
