"""A lean HTTP/1.1 client: the driver shares the machine with what it measures, so it must cost little."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any, cast

USER = {"X-User-Email": "bench@example.com"}
"""The identity (dev mode) under which the bench works."""

_IDLE_SECONDS = 3.0
"""After so long a connection is not used again: uvicorn closes idle ones after five."""


class HttpError(RuntimeError):
    """An answer outside 2xx."""


class Connection:
    """One kept-alive connection; one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._used = 0.0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if time.monotonic() - self._used > _IDLE_SECONDS:
            self.close()
        self._used = time.monotonic()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=2**22)
        return self._streams

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send JSON, answer JSON. Raises HttpError outside 2xx."""
        reader, writer = await self._open()
        payload = b"" if body is None else json.dumps(body).encode()
        writer.write(_head(method, path, f"{self._host}:{self._port}", len(payload)) + payload)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        data = await reader.readexactly(length)
        status = int(head[9:12])
        if "connection: close" in head:
            self.close()
        if not 200 <= status < 300:
            raise HttpError(f"{method} {path}: {status} {data.decode(errors='replace')[:500]}")
        return json.loads(data) if data else None

    async def stream(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Server-sent events until the server ends the stream."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=2**22)
        try:
            writer.write(_head("GET", path, f"{self._host}:{self._port}", 0))
            await reader.readuntil(b"\r\n\r\n")
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    yield {**json.loads(line[6:]), "received": time.time()}
                elif line == b"0\r\n":
                    return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _head(method: str, path: str, host: str, length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in USER.items())]
    if length:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Load(asyncio.Protocol):
    """A closed loop of one GET after the other on one connection; counts answers by their bytes.

    The answers to one URL have one length, learned from the first.
    """

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._length = 0
        self.count = 0
        self.error = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._length:
            head, found, _ = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            self._length = len(head) + 4 + int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self._buffer) < self._length or self._transport is None:
            return
        if self._buffer[9:12] != b"200":
            self.error = bytes(self._buffer[:200]).decode(errors="replace")
            self._transport.close()
            return
        self.count += 1
        self._buffer.clear()
        self._transport.write(self._request)

    def close(self) -> None:
        """End the loop."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


async def load(port: int, path: str, *, connections: int, seconds: float) -> float:
    """Requests a second of a closed loop of GETs. Raises HttpError when one is not answered with 200."""
    loop = asyncio.get_running_loop()
    request = _head("GET", path, f"127.0.0.1:{port}", 0)
    clients = [(await loop.create_connection(lambda: Load(request), "127.0.0.1", port))[1] for _ in range(connections)]
    await asyncio.sleep(seconds / 4)
    start, before = time.perf_counter(), sum(client.count for client in clients)
    await asyncio.sleep(seconds)
    rate = (sum(client.count for client in clients) - before) / (time.perf_counter() - start)
    for client in clients:
        client.close()
    if error := next((client.error for client in clients if client.error), ""):
        raise HttpError(error)
    return rate
