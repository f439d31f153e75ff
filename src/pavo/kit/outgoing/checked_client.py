"""HTTP clients for servers whose names strangers give: organisations' endpoints of models, and their forges.

The name is resolved and its addresses are judged each time that a connection is opened, and that one goes to an address
judged then (`kit.outgoing`). The connection stays known by the host's name: by that its certificate is checked, and no
connection serves two names. Proxies of the environment are not used: they would resolve the name again.
"""

import asyncio
from collections.abc import Iterable
from typing import cast

import httpcore2
import httpx2

from pavo.kit.outgoing.connecting import ADDRESSES_TRIED, CONNECT_SECONDS, Connector, NotAllowed, Unreachable


class _Backend(httpcore2.AsyncNetworkBackend):
    """Opens connections; `NotAllowed` comes through to whoever asks."""

    def __init__(self, connector: Connector, *, secure: bool) -> None:
        self._connector = connector
        self._secure = secure
        self._opens = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to one of the host's addresses that may be reached."""
        failed: Exception | None = None
        try:
            async with asyncio.timeout(timeout):
                for address in (await self._connector.addresses(host, secure=self._secure))[:ADDRESSES_TRIED]:
                    try:
                        opening = self._opens.connect_tcp(address, port, CONNECT_SECONDS, local_address, socket_options)
                        return await opening
                    except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                        failed = error
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error
        except NotAllowed:
            raise
        except Unreachable as error:
            raise httpcore2.ConnectError(str(error)) from error
        assert failed is not None  # one address is at least there
        raise failed

    async def sleep(self, seconds: float) -> None:
        """As every backend."""
        await asyncio.sleep(seconds)


class _Transport(httpx2.AsyncHTTPTransport):
    def __init__(self, connector: Connector, limits: httpx2.Limits, *, secure: bool) -> None:
        context = httpx2.create_ssl_context()
        super().__init__(verify=context, limits=limits)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            network_backend=_Backend(connector, secure=secure),
        )


def checked_client(connector: Connector, timeout: httpx2.Timeout, limits: httpx2.Limits) -> httpx2.AsyncClient:
    """A client that reaches what the connector allows, and nothing else."""
    secure = _Transport(connector, limits, secure=True)
    plain = _Transport(connector, limits, secure=False)
    return httpx2.AsyncClient(timeout=timeout, transport=secure, mounts={"http://": plain})
