"""MCP servers as a worker has them, each on its own."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pavo.tools.contract import ToolContext
from pavo.tools.described import Tool
from pavo.tools.mcp.servers import McpServers
from pavo.tools.mcp.servers_file import ServerSpec
from pavo.tools.running import Outcome, run_tool

BAD = str(Path(__file__).with_name("bad_server.py"))


def bad(folder: Path, mode: str = "ok", **more: Any) -> ServerSpec:
    """The server that misbehaves."""
    spec = ServerSpec(
        command=sys.executable, args=("-S", BAD, str(folder), mode), **{"start_seconds": 30, "call_seconds": 20, **more}
    )
    return spec.model_copy(update={"name": "bad"})


class Had:
    """What a worker has of MCP servers, and how it calls their tools."""

    def __init__(self, servers: McpServers) -> None:
        self.servers = servers

    async def tool(self, name: str) -> Tool:
        found = await asyncio.to_thread(self.servers.find, name)
        assert isinstance(found, Tool), found
        return found

    async def call(self, name: str, key: str | None = None, **arguments: Any) -> Outcome:
        tool = await self.tool(name)
        context = ToolContext(key or uuid.uuid4().hex, uuid.UUID(int=1), uuid.UUID(int=2))
        return await run_tool(tool, tool.understood(arguments).arguments, context)


@pytest_asyncio.fixture
async def having() -> AsyncIterator[Callable[..., Had]]:
    begun: list[McpServers] = []

    def have(*specs: ServerSpec) -> Had:
        servers = McpServers(specs)
        servers.start()
        begun.append(servers)
        return Had(servers)

    yield have
    for servers in begun:
        await asyncio.to_thread(servers.close)


class Told:
    """What a server of this folder told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lines(self, beginning: str = "") -> list[str]:
        path = self.folder / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(beginning)]

    @property
    def pids(self) -> list[int]:
        return [int(line.split()[1]) for line in self.lines("pid ")]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)
