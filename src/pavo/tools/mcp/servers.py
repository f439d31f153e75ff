"""The MCP servers of a worker: one connection to each, on a thread with an event loop of its own.

So neither a server that floods nor a slow answer that is taken apart holds up agents or heartbeats.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final

from pavo.errors import ToolFailed
from pavo.kit.cancellation import end
from pavo.kit.extras import needing
from pavo.tools.contract import HappenedUnknown, ToolContext
from pavo.tools.described import Tool
from pavo.tools.mcp.offered import BETWEEN, CONTEXT, server_of
from pavo.tools.mcp.servers_file import SETTING, ServerSpec
from pavo.tools.registry import BrokenTool

if TYPE_CHECKING:
    from pavo.tools.mcp.server import McpServer, ServerStatus

logger = logging.getLogger(__name__)

SPARE_SECONDS: Final = 10.0
"""For one that does not answer to be ended: then it is known to be down."""
CLOSE_SECONDS: Final = 10.0
"""For all servers together to end."""


class McpServers:
    """See `registry.ToolSource`: the tools of all servers. Its methods may be called on any thread.

    Raises:
        NotInstalled: there are servers, and the package `mcp` is missing.
    """

    def __init__(self, specs: Sequence[ServerSpec]) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        """While it runs."""
        self._stop: asyncio.Event | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pavo-mcp", daemon=True)
        with needing("MCP servers", field=SETTING):
            # Imported here: it takes seconds, and most workers have no server.
            from pavo.tools.mcp.server import McpServer
        for name in ("mcp", "client"):
            # Tracebacks about what a server sent, and what it sent; what it means for a call or a server is told below.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._servers: Mapping[str, McpServer] = {spec.name: McpServer(spec, self._calling) for spec in specs}

    def start(self) -> None:
        """Begin to connect; nobody waits for it."""
        self._thread.start()
        self._begun.wait()

    def close(self) -> None:
        """End all servers and the thread; a call that is under way is cut, and of unknown outcome."""
        if (loop := self._loop) is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(CLOSE_SECONDS)

    @property
    def statuses(self) -> "Sequence[ServerStatus]":
        """Each server as it stands."""
        return [server.status for server in self._servers.values()]

    def tried(self) -> "Sequence[ServerStatus]":
        """Each server as it stands once it was up, or could not be started."""
        for server in self._servers.values():
            server.settled.wait(server.spec.start_seconds + SPARE_SECONDS)
        return self.statuses

    def settle(self) -> None:
        """Wait for servers that are starting."""
        self.tried()

    def all(self) -> Sequence[Tool | BrokenTool]:
        """What the servers have listed so far; one that has listed nothing is told by its name."""
        down = [
            BrokenTool(f"{name}{BETWEEN}*", f"MCP server {name}", server.detail, "Look at that server.")
            for name, server in self._servers.items()
            if not server.tools and server.state != "up"
        ]
        return [*down, *(tool for server in self._servers.values() for tool in server.tools.values())]

    def is_ready(self, name: str) -> bool:
        """Whether `find` waits for nothing."""
        server = self._server_of(name)
        return server is None or server.settled.is_set()

    def find(self, name: str) -> Tool | BrokenTool | None:
        """One tool; waits for a server that is starting."""
        server = self._server_of(name)
        if server is None:
            return None
        server.settled.wait(server.spec.start_seconds + SPARE_SECONDS)
        found = server.tools.get(name)
        if found is None and server.state != "up":
            return BrokenTool(name, f"MCP server {server.spec.name}", server.detail, "Look at that server.")
        return found

    def _server_of(self, name: str) -> "McpServer | None":
        return self._servers.get(server_of(name) or "")

    def _calling(self, server: "McpServer", tool: str) -> Callable[..., Any]:
        def call(**given: Any) -> Any:
            context: ToolContext = given.pop(CONTEXT)
            if (loop := self._loop) is None:
                raise ToolFailed("The tool was not called, for this worker is ending.")
            calling = server.call(tool, given, context.idempotency_key)
            try:
                return asyncio.run_coroutine_threadsafe(calling, loop).result()
            except (CancelledError, RuntimeError) as error:
                calling.close()
                raise HappenedUnknown("The worker ended in the middle of the call.") from error

        return call

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._supervise())
            self._loop = None

    async def _supervise(self) -> None:
        self._stop = asyncio.Event()
        tasks = [asyncio.create_task(each.supervise(), name=f"MCP {name}") for name, each in self._servers.items()]
        self._begun.set()
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and not task.cancelled():
                logger.error("The supervision of %s has ended.", task.get_name(), exc_info=task.exception())
        await stopping
        await end(*tasks)
        await end(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))
