"""New connections of a busy API."""

import asyncio
import socket
from contextlib import ExitStack

import uvloop

from pavo import api

CLIENTS = 320


class Counted(asyncio.Protocol):
    """Counts connections."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Counted.made += 1


async def turns_until_accepted(listeners: list[socket.socket]) -> int:
    """How many turns of the event loop it takes until everybody in the backlog is served."""
    Counted.made = 0
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Counted, sock=listener, backlog=1024) for listener in listeners]
    with ExitStack() as closing:
        for _ in range(CLIENTS):
            closing.enter_context(socket.create_connection(listeners[0].getsockname()[:2]))
        turns = 0
        while Counted.made < CLIENTS:
            turns += 1
            await asyncio.sleep(0)
            assert turns < 100 * CLIENTS
    for server in servers:
        server.close()
    return turns


def test_a_turn_of_the_event_loop_accepts_many() -> None:
    """One a turn: behind thousands of viewers that came at once, a supervisor waited for longer than it waits."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    turns = uvloop.run(turns_until_accepted(api.often([listener])))
    assert turns <= CLIENTS / 4
