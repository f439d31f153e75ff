"""One page for one process: its own meters, what it asks others at that moment, and the SDK's."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pavo.observe import metrics
from pavo.observe.meters import Meter

if TYPE_CHECKING:
    from pavo.observe.exposition import Exposition
    from pavo.observe.sdk import SdkRuntime

logger = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 2.0
"""For so long an answer of a dependency is kept: several scrapers cause no more questions than one."""
ASK_SECONDS = 3.0
"""For one answer; Prometheus itself waits for ten."""

Ask = Callable[[], Awaitable[None]]


class Scrape:
    """What /metrics shows.

    Args:
        role: api or worker.
        asks: by the name of a dependency, a call that sets the gauges of what it answers; it raises where the
            dependency is away.
    """

    def __init__(
        self, role: str, meters: Sequence[Meter], sdk: "SdkRuntime | None", asks: Mapping[str, Ask] | None = None
    ) -> None:
        self._role, self._meters, self._sdk, self._asks = role, meters, sdk, asks or {}
        self._asked = float("-inf")
        self._asking = asyncio.Lock()
        self._exposition: Exposition | None = None

    async def text(self) -> bytes:
        """The page. It comes whatever is away."""
        await self._refresh()
        return await asyncio.to_thread(self._render)

    def _render(self) -> bytes:
        if self._exposition is None:
            from pavo.observe.exposition import Exposition

            self._exposition = Exposition(self._role, self._meters)
        return self._exposition.text() + (self._sdk.metrics() if self._sdk is not None else b"")

    async def _refresh(self) -> None:
        async with self._asking:
            if time.monotonic() - self._asked < FRESH_SECONDS:
                return
            await asyncio.gather(*(self._ask(name, ask) for name, ask in self._asks.items()))
            self._asked = time.monotonic()

    @staticmethod
    async def _ask(name: str, ask: Ask) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await ask()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the page shows that it is away
            logger.debug("Scrape: %s is away: %s", name, error)
            metrics.DEPENDENCY_UP.set(0, name)
        else:
            metrics.DEPENDENCY_UP.set(1, name)
