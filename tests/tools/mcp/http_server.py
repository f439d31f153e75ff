"""An MCP server over streamable HTTP, in the test's own loop, that does what a test wants."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pavo.tools.mcp.servers_file import ServerSpec
from tests.serving import serving

NAMES = ["ok", "stream", "cut", "cut_stream", "status", "moved", "giant", "packed", "hang", "forgets", "garbage"]


class HttpServer:
    """What arrived, and what it answers."""

    def __init__(self) -> None:
        self.port = 0
        self.called: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.sessions = 0
        self.lost = False
        """It has forgotten the session."""

    def spec(self, **more: Any) -> ServerSpec:
        url = f"http://127.0.0.1:{self.port}/mcp"
        return ServerSpec(url=url, **{"call_seconds": 5, **more}).model_copy(update={"name": "web"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = [line for line in head.split("\r\n") if line]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if not first.startswith("POST"):
            return await answer(writer, 405)
        self.headers.append(headers)
        message = json.loads(body)
        number, params = message.get("id"), message.get("params") or {}
        match message["method"]:
            case "initialize":
                self.sessions, self.lost = self.sessions + 1, False
                about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "web", "version": "1"}}
                found = {"protocolVersion": params["protocolVersion"], **about}
                return await reply(writer, number, found, f"mcp-session-id: s{self.sessions}\r\n")
            case "tools/list":
                tools = [{"name": name, "inputSchema": {"type": "object"}} for name in NAMES]
                return await reply(writer, number, {"tools": tools})
            case "tools/call":
                return await self._call(writer, number, params["name"])
            case "ping":
                return await reply(writer, number, {})
            case _:
                return await answer(writer, 202)

    async def _call(self, writer: asyncio.StreamWriter, number: int, name: str) -> bool:
        if self.lost:
            return await answer(writer, 404)
        self.called.append(name)
        result = {"content": [{"type": "text", "text": "x" * 5_000_000 if name == "giant" else name}]}
        if name in ("cut", "hang"):
            await asyncio.sleep(60 if name == "hang" else 0)
            writer.transport.abort()
            return False
        text = json.dumps({"jsonrpc": "2.0", "id": number, "result": result})
        events, moved = "text/event-stream", f"location: http://127.0.0.1:{self.port}/elsewhere\r\n"
        status, body, kind, more = {
            "stream": (200, f"event: message\ndata: {text}\n\n", events, ""),
            "cut_stream": (200, "event: message\n", events, ""),
            "status": (502, "bad gateway", "text/plain", ""),
            "moved": (307, "", "text/plain", moved),
            "packed": (200, text, "application/json", "content-encoding: gzip\r\n"),
            "garbage": (200, "{", "application/json", ""),
        }.get(name, (200, text, "application/json", ""))
        return await answer(writer, status, body, kind=kind, more=more)


async def reply(writer: asyncio.StreamWriter, number: int, result: Any, more: str = "") -> bool:
    return await answer(writer, 200, json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), more=more)


async def answer(
    writer: asyncio.StreamWriter, status: int, body: str = "", *, kind: str = "application/json", more: str = ""
) -> bool:
    content = body.encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n{more}\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
    return True


@asynccontextmanager
async def http_server() -> AsyncGenerator[HttpServer]:
    found = HttpServer()
    async with serving(found.serve) as found.port:
        yield found
