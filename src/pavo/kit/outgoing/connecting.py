"""Connections to hosts that somebody else names.

A host name is resolved once, and the connection goes to one of the addresses found then, so that a second answer of a
name server changes nothing. Proxies of the environment are not used: they would resolve the name again.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Final

from pavo.kit.outgoing.addresses import Network, may_reach

ADDRESSES_TRIED: Final = 3
CONNECT_SECONDS: Final = 4.0
"""For one address, so that another one gets its turn within the time of an attempt."""


class Unreachable(Exception):
    """There is no connection, for a reason that whoever named the host should read."""


class NotAllowed(Unreachable):
    """The host is not to be connected to, at whichever of its addresses."""


class Connector:
    """Connects to hosts, from any event loop.

    Args:
        allowed: networks that are not public and may be reached nevertheless, also without TLS.
        setting: the environment variable by which an operator allows them.
        plain_http: whether public addresses may be reached without TLS too.
        resolvers: threads that ask name servers: one who makes them wait must not keep others from theirs. A thread
            cannot be ended, and asks for half a minute where its attempt ended long before.
    """

    def __init__(
        self, allowed: Sequence[Network], setting: str, *, plain_http: bool = False, resolvers: int = 128
    ) -> None:
        self._allowed = allowed
        self._setting = setting
        self._plain_http = plain_http
        self._resolvers = ThreadPoolExecutor(resolvers, thread_name_prefix="names")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def close(self) -> None:
        """End the resolvers; one that still waits for a name server is not waited for."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def connect(
        self, host: str, port: int, *, secure: bool, limit: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to one of the host's addresses that may be reached.

        Args:
            limit: bytes that are read ahead.

        Raises:
            Unreachable: there is none.
            ssl.SSLCertVerificationError: its certificate is not accepted.
        """
        failure: OSError = OSError()
        for address in (await self.addresses(host, secure=secure))[:ADDRESSES_TRIED]:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection(
                        address,
                        port,
                        ssl=self._tls if secure else None,
                        server_hostname=host if secure else None,
                        limit=limit,
                    )
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:  # a time-out too
                failure = error
        raise Unreachable(f"It cannot be reached: {failure.strerror or 'it does not answer'}.")

    async def addresses(self, host: str, *, secure: bool) -> list[str]:
        """The host's addresses that may be reached, one at least.

        Raises:
            NotAllowed: it has none that may.
            Unreachable: its name cannot be resolved.
        """
        find = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._resolvers, find)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"The name {host} cannot be resolved.") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        reachable = [each for each in addresses if self._may_reach(each, secure=secure)]
        if not reachable:
            raise NotAllowed(
                f"{host} has no address that may be sent to{'' if secure else ' without TLS'}: only public ones may, "
                f"and those of {self._setting}."
            )
        return reachable

    def _may_reach(self, address: str, *, secure: bool) -> bool:
        with contextlib.suppress(ValueError):
            return may_reach(address, self._allowed, secure=secure or self._plain_http)
        return False
