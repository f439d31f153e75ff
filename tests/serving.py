"""Servers of the tests that leave no socket behind, whatever their clients were doing when they end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from pavo.kit.cancellation import end

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncGenerator[int]:
    """Listen on a port of its own, which is given. At the end each connection is closed, also one just accepted.

    A task that is cancelled before its first step runs no `finally`: so the connections are kept here, from the
    moment they are made.
    """
    tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handler(reader, writer)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(handle(reader, writer))
        tasks[task] = writer
        task.add_done_callback(tasks.pop)
        task.add_done_callback(lambda _: writer.close())

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for _ in range(5):
            await asyncio.sleep(0)  # what was accepted in this very turn is connected
        left = dict(tasks)
        await end(*left)
        for writer in left.values():
            writer.transport.abort()
        await asyncio.sleep(0)  # their sockets are closed in the next turn
