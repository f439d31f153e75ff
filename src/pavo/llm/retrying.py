"""The one retry layer: what fails for the moment is tried again, as late as the server asks, and within bounds."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pavo.llm.client import CallFailed, ModelClient
from pavo.llm.model_endpoints import Endpoint
from pavo.llm.telling import ToldTries
from pavo.observe import metrics

logger = logging.getLogger(__name__)

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 20.0
"""Between two tries, where the server does not say how long."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and for how long, a call is tried."""

    tries: int = 6
    seconds: float = 900.0
    """For all tries together, their answers and what lies between them."""


async def ask_patiently(
    client: ModelClient,
    endpoint: Endpoint,
    body: Mapping[str, Any],
    patience: Patience,
    told: ToldTries | None = None,
    paid: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, Any]:
    """The answer.

    Args:
        paid: awaited before another try, where the one before may have been paid for.

    Raises:
        CallFailed: there is none.
    """
    loop = asyncio.get_running_loop()
    until, last = loop.time() + patience.seconds, None
    try:
        async with asyncio.timeout(patience.seconds):
            for number in range(1, patience.tries + 1):
                try:
                    return await client.ask(endpoint, body, told.begin(number) if told else None)
                except CallFailed as failed:
                    last = failed
                seconds = _pause(last, number)
                if last.refused or number == patience.tries or loop.time() + seconds >= until:
                    break
                logger.info("%s Tried again in %.1f s (%d of %d).", last.detail, seconds, number, patience.tries)
                if last.paid and paid is not None:
                    await paid()
                metrics.MODEL_RETRIES.add()
                await asyncio.sleep(seconds)
    except TimeoutError:
        detail = f"The model's server did not come to an end within {patience.seconds:g} s."
        raise CallFailed(detail, "Ask for less, or raise PAVO_LLM_SECONDS.", paid=True) from last
    assert last is not None
    raise last


def _pause(failed: CallFailed, number: int) -> float:
    """Seconds until the next try; never less than the server asks for, and never the same for many who were refused."""
    if failed.retry_after is not None:
        return failed.retry_after + random.uniform(0, max(0.1, 0.1 * failed.retry_after))
    return min(FIRST_SECONDS * 2 ** (number - 1), LONGEST_SECONDS) * random.uniform(0.5, 1.0)
