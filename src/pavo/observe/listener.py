"""A listener of its own for /metrics: workers have no other, and an API may keep it off its public port."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pavo.config import MetricsSettings
from pavo.errors import ConfigurationError
from pavo.observe.scrape import CONTENT_TYPE, Scrape

logger = logging.getLogger(__name__)

READ_SECONDS = 5.0
SEND_SECONDS = 10.0
"""Until who asked must have taken the answer."""
HEAD_BYTES = 16_384
MOST_CONNECTIONS = 64
"""At once; Prometheus and a supervisor need one each. Those beyond it are closed."""
NEIGHBOURS = 100
"""How many ports are tried when the wanted one is taken: several processes of a machine share one setting."""
VARIABLE = "PAVO_METRICS_ADDRESS"


def split_address(address: str) -> tuple[str, int]:
    """host:port; without a host, loopback.

    Raises:
        ConfigurationError: it is something else.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise ConfigurationError(
            f"{VARIABLE}: {address!r} is no host:port.", field=VARIABLE, remedy="For example 127.0.0.1:9464."
        )
    return host.strip("[]") or "127.0.0.1", int(port)


@asynccontextmanager
async def listening(address: str, scrape: Scrape) -> AsyncGenerator[str]:
    """Serve GET /metrics and /healthz; the URL of the page. Where the port is taken, the next free one after it serves.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    host, port = split_address(address)
    try:
        server = await _listen(host, port, scrape)
    except OSError as error:
        raise ConfigurationError(
            f"{VARIABLE}: cannot listen on {address}: {error.strerror or error}.",
            field=VARIABLE,
            remedy="Choose an address of this machine and a port from 1024 on; port 0 takes any, which the log tells.",
        ) from error
    taken: int = server.sockets[0].getsockname()[1]
    url = f"http://{f'[{host}]' if ':' in host else host}:{taken}/metrics"
    logger.info("Metrics at %s", url)
    async with server:
        yield url


async def _listen(host: str, wanted: int, scrape: Scrape) -> asyncio.Server:
    last = min(wanted + NEIGHBOURS, 65_535) if wanted else 0
    for port in range(wanted, last + 1):
        try:
            return await asyncio.start_server(_Served(scrape).serve, host, port, limit=HEAD_BYTES)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == last:
                raise
    raise AssertionError("unreachable")


@asynccontextmanager
async def listening_if_wanted(settings: MetricsSettings, scrape: Scrape) -> AsyncGenerator[None]:
    """Listen where the settings name an address; errors as in `listening`."""
    if settings.enabled and settings.address is not None:
        async with listening(settings.address, scrape):
            yield
    else:
        yield


class _Served:
    """What is served on one port."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, no keep-alive; bounded in bytes and seconds, as many connections are in number."""
        self._open += 1
        try:
            if self._open <= MOST_CONNECTIONS:
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    await self._exchange(reader, writer)
        finally:
            self._open -= 1
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(READ_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        status, body = await _answer(method, path, self._scrape)
        lines = (
            f"HTTP/1.1 {status}",
            f"Content-Type: {CONTENT_TYPE}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        async with asyncio.timeout(SEND_SECONDS):
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == b"HEAD" else body))
            await writer.drain()
            writer.close()
            await writer.wait_closed()


async def _answer(method: bytes, path: bytes, scrape: Scrape) -> tuple[str, bytes]:
    if method not in (b"GET", b"HEAD"):
        return "405 Method Not Allowed", b"GET only\n"
    if path == b"/metrics":
        return "200 OK", await scrape.text()
    if path == b"/healthz":
        return "200 OK", b"ok\n"
    return "404 Not Found", b"Look at /metrics\n"
