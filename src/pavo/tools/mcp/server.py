"""One MCP server, supervised: connected, its tools listed, connected again with growing pauses when it is lost."""

import asyncio
import logging
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from mcp.client.session import ClientSession, MessageHandlerFnT
from mcp.types import Implementation, ToolListChangedNotification

from pavo import __version__
from pavo.agents.checks import storable
from pavo.agents.raised import described, innermost
from pavo.errors import ToolFailed
from pavo.observe import metrics
from pavo.observe.printable import printable_line
from pavo.tools.contract import HappenedUnknown
from pavo.tools.described import Tool
from pavo.tools.mcp.calling import NotSent, call_tool, list_tools
from pavo.tools.mcp.http import http_transport
from pavo.tools.mcp.offered import tools_of
from pavo.tools.mcp.servers_file import ServerSpec
from pavo.tools.mcp.stdio import stdio_transport
from pavo.tools.mcp.transport import Transport
from pavo.tools.registry import BrokenTool

logger = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
STEADY_SECONDS: Final = 60.0
"""Who was connected for so long begins with the first pause again."""
PING_SECONDS: Final = 30.0
"""So often a server that nobody calls is asked whether it is there."""
PONG_SECONDS: Final = 10.0
RELIST_SECONDS: Final = 1.0
"""Between two lists, whatever the server says of changes."""

State = Literal["starting", "up", "down"]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server as it stands."""

    name: str
    state: State
    detail: str
    """Why it is down."""
    tools: int


class McpServer:
    """One server. `supervise` belongs to one event loop, as does `call`; the rest may be read on any thread.

    Args:
        calling: the function of a tool, which calls it from a thread of its own.
    """

    def __init__(self, spec: ServerSpec, calling: Callable[["McpServer", str], Callable[..., Any]]) -> None:
        self.spec = spec
        self._calling = calling
        self.tools: Mapping[str, Tool | BrokenTool] = {}
        """As it listed them last, also while it is down."""
        self.state: State = "starting"
        self.detail = "it starts"
        self.settled = threading.Event()
        """It was up once, or could not be started."""
        self._live: asyncio.Future[tuple[ClientSession, Transport]] | None = None
        """Resolved while it is connected."""
        self._changed = asyncio.Event()
        self._suspect = asyncio.Event()
        """It is asked at once whether it is there."""
        self._calls = 0

    @property
    def status(self) -> ServerStatus:
        """Its state, in words."""
        return ServerStatus(self.spec.name, self.state, self.detail, len(self.tools))

    async def supervise(self) -> None:
        """Keep it connected until cancelled."""
        failures = 0
        self._live = asyncio.get_running_loop().create_future()
        while True:
            begun = time.monotonic()
            try:
                async with connected(self.spec, self._heard) as (session, transport):
                    await self._serve(session, transport)
            except Exception as error:  # noqa: BLE001 - whatever a server does to its session: told below
                reason = printable_line(storable(_told(innermost(error)), 500)).rstrip(".")
            else:
                reason = "it ended"
            steady = self.state == "up" and time.monotonic() - begun > STEADY_SECONDS
            failures = 1 if steady else failures + 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1)) * random.uniform(0.8, 1.2)
            self._down(reason, pause)
            await asyncio.sleep(pause)

    def _down(self, reason: str, pause: float) -> None:
        self.state, self.detail = "down", reason
        assert self._live is not None
        if self._live.done():
            self._live = asyncio.get_running_loop().create_future()
        metrics.MCP_SERVERS_UP.set(0, self.spec.name)
        metrics.MCP_LOST.add(self.spec.name)
        told = "MCP server %s is down, its tools cannot be called: %s. It is started again in %.1f s."
        logger.warning(told, self.spec.name, reason, pause)
        self.settled.set()

    async def _serve(self, session: ClientSession, transport: Transport) -> None:
        await self._list(session)
        assert self._live is not None
        self._live.set_result((session, transport))
        self.state, self.detail = "up", ""
        self.settled.set()
        metrics.MCP_SERVERS_UP.set(1, self.spec.name)
        logger.info("MCP server %s is up, with %s tools", self.spec.name, len(self.tools))
        while True:
            await self._woken(transport)
            if transport.ended.done():
                raise ToolFailed(transport.ended.result())
            if self._changed.is_set():
                await asyncio.sleep(RELIST_SECONDS)
                await self._list(session)
            elif self._suspect.is_set() or not self._calls:
                self._suspect.clear()
                async with asyncio.timeout(PONG_SECONDS):
                    await session.send_ping()

    async def _woken(self, transport: Transport) -> None:
        """By the end of the connection, a changed list, a doubt, or because it is time to ask."""
        waiting = [asyncio.ensure_future(each.wait()) for each in (self._changed, self._suspect)]
        try:
            await asyncio.wait([transport.ended, *waiting], timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    async def _list(self, session: ClientSession) -> None:
        self._changed.clear()
        async with asyncio.timeout(self.spec.start_seconds):
            listed = await list_tools(session)
        self.tools = tools_of(self.spec, listed, lambda tool: self._calling(self, tool))

    async def _heard(self, message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._changed.set()

    async def call(self, tool: str, arguments: Mapping[str, Any], key: str) -> Any:
        """Call a tool, within the server's `call_seconds`; waits as long for a server that is being started.

        Raises:
            ToolFailed: it failed, or the server is not there: it was not called.
            HappenedUnknown: it cannot be told whether it happened.
        """
        until = time.monotonic() + self.spec.call_seconds
        cause = ""
        for _ in range(2):
            session, transport = await self._connection(until)
            self._calls += 1
            try:
                return await call_tool(session, transport, tool, arguments, key, max(0.1, until - time.monotonic()))
            except NotSent as error:
                self._suspect.set()
                cause = str(error)
                if not transport.ended.done():
                    transport.ended.set_result(cause)
            except HappenedUnknown:
                self._suspect.set()
                raise
            finally:
                self._calls -= 1
        raise ToolFailed(f"The tool was not called, for MCP server {self.spec.name} is down: {cause}.")

    async def _connection(self, until: float) -> tuple[ClientSession, Transport]:
        while True:
            assert self._live is not None
            waited = min(self.spec.start_seconds, until - time.monotonic())
            await asyncio.wait([self._live], timeout=max(0.0, waited))
            if not self._live.done():
                told = f"The tool was not called, for MCP server {self.spec.name} is down: {self.detail}."
                raise ToolFailed(told, remedy="Look at that server; it is started again by itself.")
            session, transport = self._live.result()
            if not transport.ended.done():
                return session, transport
            if time.monotonic() >= until:
                raise ToolFailed(f"The tool was not called, for MCP server {self.spec.name} has just ended.")
            await asyncio.sleep(0.05)  # until its supervisor has noticed


@asynccontextmanager
async def connected(spec: ServerSpec, heard: MessageHandlerFnT) -> AsyncGenerator[tuple[ClientSession, Transport]]:
    """A connection to a server that has introduced itself."""
    info = Implementation(name="pavo", version=__version__)
    opening = stdio_transport(spec) if spec.command is not None else http_transport(spec)
    async with (
        opening as transport,
        ClientSession(transport.received, transport.sending, message_handler=heard, client_info=info) as session,
    ):
        try:
            async with asyncio.timeout(spec.start_seconds):
                await session.initialize()
        except Exception as error:
            if transport.ended.done():
                raise ToolFailed(transport.ended.result()) from error
            raise
        yield session, transport


def _told(error: BaseException) -> str:
    if isinstance(error, ToolFailed):
        return error.detail
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, FileNotFoundError):
        return f"there is no command or folder {error.filename}"
    return described(error)
