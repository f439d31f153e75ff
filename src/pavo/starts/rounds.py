"""In every worker: what is due, and could not begin when its time came, begins as soon as it can."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from pavo.errors import PavoError

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 2.0
SOME: Final = 50
"""Looked at in one round."""
TURNS: Final = 4
LONGEST_SECONDS: Final = 60.0
"""For one of them in one round."""
Take: TypeAlias = Callable[[int], Awaitable[Sequence[uuid.UUID]]]
Advance: TypeAlias = Callable[[uuid.UUID], Awaitable[object]]


class FiringRounds:
    """Looks at whatever has firings to begin: what waits, what was written down by others, what another process was
    beginning when it died.

    Args:
        what: as log lines call it, such as `schedule`.
        take: so many at most, whom nobody has looked at for a moment; from then on this process does.
        advance: begin what one of them has due.
    """

    def __init__(self, what: str, take: Take, advance: Advance) -> None:
        self._what, self._take, self._begin = what, take, advance

    async def run(self) -> None:
        """Without an end."""
        while True:
            try:
                await self.look()
            except PavoError as error:
                logger.warning("What %ss have due is looked at later: %s", self._what, error)
            except Exception:
                logger.exception("What %ss have due is looked at later", self._what)
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self) -> int:
        """One round; how many it looked at.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        taken = await self._take(SOME)
        turns = asyncio.Semaphore(TURNS)

        async def one(taken_id: uuid.UUID) -> None:
            async with turns:
                await self._advance(taken_id)

        await asyncio.gather(*map(one, taken))
        return len(taken)

    async def _advance(self, taken_id: uuid.UUID) -> None:
        """What keeps one from it keeps no other."""
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._begin(taken_id)
        except (PavoError, TimeoutError) as error:
            logger.warning("What %s %s has due begins later: %s", self._what, taken_id, error or "it takes long")
        except Exception:
            logger.exception("What %s %s has due begins later", self._what, taken_id)
