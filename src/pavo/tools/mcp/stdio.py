"""MCP over a child's standard input and output: its own process group and environment, lines that are bounded.

The transport of the package `mcp` reads lines of any length, and takes what the worker has on its standard error.
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, jsonrpc_message_adapter

from pavo.agents.confinement.environment import agents_environment
from pavo.kit.cancellation import end
from pavo.kit.processes import child_dies_with_us, has_ended, kill_session
from pavo.observe.printable import printable_line
from pavo.tools.mcp.lines import Flooded, Lines, TooLong
from pavo.tools.mcp.servers_file import ServerSpec
from pavo.tools.mcp.transport import ANSWER_TOO_LARGE, Transport

logger = logging.getLogger(__name__)

CHUNK_BYTES: Final = 65_536
END_SECONDS: Final = 2.0
"""For a server to end when its input does, and again after SIGTERM."""
TOLD_LINES: Final = 5
"""Of what it last wrote to its standard error, in what is said of its end."""
TOLD_CHARACTERS: Final = 300
PAUSE_SECONDS: Final = 0.01
"""Between two chunks of its standard error: who floods it waits."""
LAST_WORDS_SECONDS: Final = 1.0
"""For what a process has written to standard error before its end."""
GARBAGE_TOLD: Final = 3
"""Lines that are no messages, of one process, in the log."""


@asynccontextmanager
async def stdio_transport(spec: ServerSpec) -> AsyncGenerator[Transport]:
    """Start the server's process; its whole group is ended at the end.

    Raises:
        OSError: it cannot be started.
    """
    assert spec.command is not None
    process = await asyncio.create_subprocess_exec(
        spec.command,
        *spec.args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**agents_environment(), **spec.env},
        cwd=spec.cwd,
        start_new_session=True,
        preexec_fn=child_dies_with_us(signal.SIGKILL),
    )
    child = _Child(spec.name, process)
    tasks = [asyncio.create_task(each) for each in (child.read(), child.write(), child.listen())]
    try:
        yield Transport(child.received, child.sending, child.ended)
    finally:
        ending = asyncio.create_task(_end_all(process, child, tasks))
        cancelled = False
        while not ending.done():  # who cancels again and again waits for it too: it takes seconds at most
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError


class _Child:
    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process
        self._errors: deque[str] = deque(maxlen=TOLD_LINES)
        self._garbage = 0
        self._heard = asyncio.Event()
        """Its standard error is read to its end."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why there is no connection any more."""
        self._receive, self.received = anyio.create_memory_object_stream[Any](0)
        self.sending, self._to_send = anyio.create_memory_object_stream[SessionMessage](0)

    def close(self) -> None:
        for stream in (self._receive, self.received, self.sending, self._to_send):
            stream.close()

    async def read(self) -> None:
        assert self._process.stdout is not None
        lines = Lines()
        try:
            while chunk := await self._process.stdout.read(CHUNK_BYTES):
                for line in lines.feed(chunk, time.monotonic()):
                    await self._take(line)
            ended = await has_ended(self._process, END_SECONDS)
            with suppress(TimeoutError):  # its last words may come behind its end
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._heard.wait()
            self._end(f"it ended with code {self._process.returncode}" if ended else "it closed its output")
        except Flooded as error:
            self._end(str(error))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._end("the connection was closed")
        finally:
            self._receive.close()  # who waits for an answer learns that none comes

    async def _take(self, line: bytes | TooLong) -> None:
        if isinstance(line, TooLong):
            if line.request is None:
                raise Flooded("it sent a message that is too long")
            error = ErrorData(code=ANSWER_TOO_LARGE, message="The answer is too large.")
            await self._receive.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=line.request, error=error)))
            return
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            self._garbage += 1
            if line.strip() and self._garbage <= GARBAGE_TOLD:
                text = printable_line(line[:TOLD_CHARACTERS].decode(errors="replace"))
                logger.info("MCP server %s wrote what is no message: %s", self._name, text)
            return
        await self._receive.send(SessionMessage(message))

    async def write(self) -> None:
        assert self._process.stdin is not None
        try:
            async for each in self._to_send:
                text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._process.stdin.write(text.encode() + b"\n")
                await self._process.stdin.drain()
        except OSError as error:
            self._end(f"it takes nothing any more ({error.strerror or type(error).__name__})")
            self._to_send.close()

    async def listen(self) -> None:
        """To what it says on standard error: the last lines are told when it ends."""
        assert self._process.stderr is not None
        rest = b""
        while chunk := await self._process.stderr.read(CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            rest = rest[-TOLD_CHARACTERS:]
            for line in whole[-TOLD_LINES:]:
                if line.strip():
                    self._errors.append(printable_line(line[:TOLD_CHARACTERS].decode(errors="replace")))
            await asyncio.sleep(PAUSE_SECONDS)
        self._heard.set()

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            said = f"; it last said: {' | '.join(self._errors)}" if self._errors else ""
            self.ended.set_result(f"{reason}{said}")


async def _end_all(process: asyncio.subprocess.Process, child: _Child, tasks: Sequence["asyncio.Task[None]"]) -> None:
    """The server and whatever it started."""
    await end(*tasks)
    child.close()
    assert process.stdin is not None
    process.stdin.close()
    if not await has_ended(process, END_SECONDS):
        _kill(process.pid, signal.SIGTERM)
        await has_ended(process, END_SECONDS)
    _kill(process.pid, signal.SIGKILL)  # also what outlives it
    await kill_session(process, END_SECONDS)


def _kill(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
