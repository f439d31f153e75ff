"""When Python looks for garbage in a process that serves thousands at once.

A full collection looks at every object and stops everything meanwhile: of 3,900 viewers for a second. Python begins one
each time that what lives long has grown by a quarter, so that many who come at once were met by one after the other.
Here what a process begins with is looked at no more, young objects are looked at as ever, and a full collection comes
seldom, for the little that dies old in circles.
"""

import asyncio
import gc
import logging
import time
from typing import Final

logger = logging.getLogger(__name__)

YOUNG: Final = 10_000
"""New objects, less those that were given back, until the youngest are looked at."""
MIDDLE: Final = 3
"""Such looks until those that survived one are looked at too."""
NEVER: Final = 2**31 - 1
FULL_SECONDS: Final = 900.0
TOLD_SECONDS: Final = 0.1
"""A full collection that took longer is told in the log."""


async def collect_seldom(seconds: float = FULL_SECONDS) -> None:
    """Hold collections to this from now on, and make the full ones, until cancelled; then as before."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)
    try:
        while True:
            await asyncio.sleep(seconds)
            begun = time.perf_counter()
            gc.collect()
            took = time.perf_counter() - begun
            if took > TOLD_SECONDS:
                logger.info("Looking for garbage among all objects took %.1f s.", took)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
