"""A worker's share in what waits for a local engine: runs that it is able to do, so many at once.

Where nothing waits it costs one statement each half second. Where the worker ends, what is in flight gets a moment to
end, and the rest is given up, so that others go on with it at once.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from pavo.errors import Unavailable
from pavo.flows.ledger import holding
from pavo.flows.local.engine import LOOK_SECONDS, LocalEngine
from pavo.kit.cancellation import KeptRunning, end
from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

AT_ONCE: Final = 32
"""Runs of one worker; those that only wait do not count."""
JUDGING: Final = 4
"""Versions at once of which it is found out whether they can be done here: that may import what they name."""
JUDGE_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 60.0
"""After so long it is found out anew: tools come and go."""
MAX_KNOWN: Final = 1_000
"""Versions of which it is known; beyond them what was found out first is forgotten."""
GRACE_SECONDS: Final = 5.0
"""For what is in flight when the worker ends."""

Unable: TypeAlias = Callable[[uuid.UUID, str], Awaitable[Sequence[tuple[str, str]]]]
"""The steps of an organisation's version, by its hash, that cannot be done here, and why."""


class LocalServer:
    """Of one worker process, on its event loop. `start` it, and `close` it in the end.

    Args:
        unable: may take long and may fail; what it cannot tell of counts as something that can be done.
    """

    def __init__(self, database: Database, engine: LocalEngine, unable: Unable) -> None:
        self._database, self._engine, self._unable = database, engine, unable
        self._running = set[asyncio.Task[None]]()
        self._judging = dict[str, asyncio.Task[None]]()
        self._able = dict[str, tuple[bool, float]]()
        """By hash; and until when that counts, by the monotonic clock."""
        self._is_away = False
        self._loop: KeptRunning | None = None

    def start(self) -> None:
        """Begin to look for runs."""
        self._loop = KeptRunning(self._serve, "runs of flows")

    async def close(self) -> None:
        """Claim nothing more, give what is in flight a moment, and give up the rest."""
        if self._loop is not None:
            await self._loop.end()
        self._engine.end_soon()
        await end(*self._judging.values())
        if self._running:
            await asyncio.wait(self._running, timeout=GRACE_SECONDS)
        await end(*self._running)

    @property
    def known(self) -> Mapping[str, bool]:
        """Which versions can be done here, as far as that is known."""
        now = time.monotonic()
        return {hash_: able for hash_, (able, until) in self._able.items() if until > now}

    async def _serve(self) -> None:
        while True:
            if len(self._running) >= AT_ONCE or not await self._look():
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> bool:
        """Whether something was found, and more may be."""
        try:
            return await self._begin_one()
        except Unavailable as error:
            if not self._is_away:
                logger.warning("The runs of flows cannot be read: %s", error)
            self._is_away = True
            return False

    async def _begin_one(self) -> bool:
        known = self.known
        able = [hash_ for hash_, is_able in known.items() if is_able]
        passed_over = [*self._judging, *(hash_ for hash_, is_able in known.items() if not is_able)]
        async with self._database.reading() as session:
            found = await holding.waiting(session, passed_over, self._engine.program)
        self._is_away = False
        if found is None:
            return False
        organisation, hash_ = found
        if hash_ not in known and len(self._judging) < JUDGING:
            judging = self._judge(organisation, hash_)
            self._judging[hash_] = asyncio.create_task(judging, name=f"version {hash_[:12]}")
            return True
        claimed = await self._engine.claim(hashes=able)
        if claimed is None:  # others were quicker
            return False
        task = asyncio.create_task(self._engine.execute(*claimed), name=f"flow {claimed[0].run_id}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A run of a flow was left to its lease.", exc_info=error)

    async def _judge(self, organisation: uuid.UUID, hash_: str) -> None:
        try:
            able = await self._is_able(organisation, hash_)
        except Unavailable:  # as whoever looks for runs finds, too
            return
        finally:
            del self._judging[hash_]
        while len(self._able) >= MAX_KNOWN:
            del self._able[next(iter(self._able))]
        self._able.pop(hash_, None)
        self._able[hash_] = able, time.monotonic() + AGAIN_SECONDS

    async def _is_able(self, organisation: uuid.UUID, hash_: str) -> bool:
        try:
            async with asyncio.timeout(JUDGE_SECONDS):
                why = await self._unable(organisation, hash_)
        except TimeoutError:
            logger.warning("What version %s needs was not found within %g s.", hash_[:12], JUDGE_SECONDS)
            return False
        except Unavailable:
            raise
        except Exception:  # whoever executes it counts that, and says it in the ledger
            logger.exception("What version %s needs cannot be told.", hash_[:12])
            return True
        if why:
            told = "; ".join(f"{name}: {each}" for name, each in why)
            logger.info("Runs of version %s are left to other workers: %.1000s", hash_[:12], told)
        return not why
