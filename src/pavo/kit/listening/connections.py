"""All connections of a process: how many there are, and what becomes of those that take too long."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, IPv6Network
from itertools import islice
from typing import Protocol

from pavo.errors import Unavailable
from pavo.kit.listening.limits import Limits
from pavo.kit.listening.rare_warnings import RareWarnings

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often every connection is looked at: one look at 5,000 takes some milliseconds, 5,000 timers would take more."""

AT_A_TIME = 25
"""Connections that are looked at in one turn of the event loop. What came at once is late at once, and to end one is up
to half a millisecond of work, of its own code too, before anybody else gets on."""


class Watched(Protocol):
    """A connection, as far as it is watched from here."""

    address: str

    def look(self, now: float) -> None:
        """End it if it has taken too long."""
        ...

    def unsent(self) -> int:
        """Bytes of an answer that it has not taken; a stream, which has a budget of its own, counts as 0."""
        ...

    def untaken(self) -> int:
        """Bytes of a body that the application has not taken yet."""
        ...

    def waited_since(self) -> float:
        """When it last took something of what is ready."""
        ...

    def abort(self) -> None:
        """End it, and give back what it holds."""
        ...


class Connections:
    """Counts connections and looks at them. Belongs to the event loop that serves them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._all = set[Watched]()
        self._by_address = Counter[str]()
        self.warnings = RareWarnings(logging.getLogger("uvicorn.error"))
        """Of what they send that is no HTTP: who wants to can send it all day."""

    @property
    def count(self) -> int:
        """How many there are now."""
        return len(self._all)

    def add(self, connection: Watched) -> Unavailable | None:
        """Count a new connection; what it is refused with, if there are too many. `remove` follows in both cases."""
        self._all.add(connection)
        place = _place(connection.address)
        self._by_address[place] += 1
        if len(self._all) > self.limits.connections:
            return Unavailable("The API has as many connections as it can.", dependency="api", retry_after=5)
        known = connection.address not in self.limits.proxies
        if known and self._by_address[place] > self.limits.per_address:
            return Unavailable(
                f"There are more than {self.limits.per_address} connections from {connection.address}.",
                dependency="api",
                retry_after=5,
                remedy="Close some, or name a proxy at this address in PAVO_PROXIES.",
            )
        return None

    def remove(self, connection: Watched) -> None:
        """The connection is closed."""
        if connection not in self._all:
            return
        self._all.remove(connection)
        place = _place(connection.address)
        self._by_address[place] -= 1
        if not self._by_address[place]:
            del self._by_address[place]

    async def watch(self) -> None:
        """Look at all of them again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                everyone = iter(tuple(self._all))
                while some := tuple(islice(everyone, AT_A_TIME)):
                    for connection in self._all.intersection(some):
                        connection.look(loop.time())
                    await asyncio.sleep(0)
                self._shed()
            except Exception:
                # Logged and not raised: without this loop nothing bounds what clients take.
                logger.exception("Looking at connections failed in an unforeseen way")

    def _shed(self) -> None:
        """Where all together leave too much unread, end those that have taken nothing for longest; and so where they
        have sent too much that nobody takes."""
        unsent = {connection: size for connection in self._all if (size := connection.unsent())}
        _shorten(unsent, self.limits.unsent_bytes, lambda each: each.waited_since())
        untaken = {connection: size for connection in self._all if (size := connection.untaken())}
        _shorten(untaken, self.limits.untaken_bytes, lambda each: -untaken[each])


def _shorten(sizes: Mapping[Watched, int], most: int, first: Callable[[Watched], float]) -> None:
    left = sum(sizes.values())
    for connection in sorted(sizes, key=first):
        if left <= most:
            return
        left -= sizes[connection]
        connection.abort()


def _place(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, for whoever has one has all that begin so (RFC 6177)."""
    if ":" not in address:
        return address
    try:
        return str(IPv6Network((int(IPv6Address(address.partition("%")[0])) >> 64 << 64, 64)))
    except ValueError:
        return address
