"""The gateway that remote agents connect to: serves them until it is told to end."""

import asyncio
import logging
import signal

from pavo import bootstrap
from pavo.config import Settings
from pavo.fleet.wiring import serving
from pavo.kit.ready import announce_ready
from pavo.logging import configure_logging
from pavo.observe.listener import listening_if_wanted

logger = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Run a gateway until SIGTERM or SIGINT; its agents go to another one, and what they do goes on."""
    configure_logging(settings.logging)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        bootstrap.gateway_parts(settings) as parts,
        listening_if_wanted(settings.metrics, parts.scrape),
        serving(parts.clients) as port,
    ):
        announce_ready()
        logger.info("Gateway %s ready on port %s", parts.clients.gateway_id, port)
        await stop.wait()
        logger.info("Gateway is ending")
