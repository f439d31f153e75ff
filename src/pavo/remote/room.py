"""Room for worktrees: what they may take in all, and which of them go first where that is reached."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from pavo.remote.errands.failures import no_space
from pavo.remote.git.disk import free_at, size_of

logger = logging.getLogger(__name__)

Key: TypeAlias = tuple[str, int]
"""Job and epoch of an attempt."""
_OWN_PLACE: Final = re.compile(r"([0-9A-Za-z-]{1,64}?)--(\d{1,18})")
GIVEN_UP: Final = (
    "The worktree of this lost attempt was removed before what it has changed was kept: the agent's disk quota is "
    "reached. Raise its --quota-gb."
)


class Room:
    """That one agent has.

    Args:
        folder: whose size is bounded.
        places: the folder of the worktrees.
        remove: removes the worktree of an attempt; the bytes freed.
    """

    def __init__(
        self,
        folder: Path,
        places: Path,
        quota_bytes: int,
        least_free_bytes: int,
        remove: Callable[[str, int], Awaitable[int]],
    ) -> None:
        self._folder, self._places, self._remove = folder, places, remove
        self._quota_bytes, self._least_free_bytes = quota_bytes, least_free_bytes
        self.known: Callable[[], Mapping[Key, bool]] | None = None
        """The attempts that this agent knows: whether each holds its job or is worked at. What a lost one has changed
        may not be kept yet; its worktree goes last. None: nobody says, and nothing is removed to make space."""
        self.tell: Callable[[str, int, str], None] = _log
        """Told that the worktree of a lost attempt was removed: job, epoch, and why."""

    async def make_space(self) -> None:
        """Have space for one more worktree.

        Raises:
            CommandFailed: there is none.
        """
        free = free_at(self._folder)
        if free < self._least_free_bytes:
            raise no_space(f"{free:,} bytes are free, and {self._least_free_bytes:,} are kept free")
        taken = await asyncio.to_thread(size_of, self._folder)
        if taken > self._quota_bytes and self.known is not None:
            await self.make_room(self.known())
            taken = await asyncio.to_thread(size_of, self._folder)
        if taken > self._quota_bytes:
            raise no_space(f"its worktrees take {taken:,} bytes of {self._quota_bytes:,}")

    async def make_room(self, known: Mapping[Key, bool]) -> int:
        """Remove worktrees until the quota holds: first those of attempts that are not known, then those of lost ones,
        the oldest first; never one of an attempt that holds its job. Bytes freed."""
        taken = await asyncio.to_thread(size_of, self._folder)
        freed = 0
        idle = sorted(self.idle([key for key, holds in known.items() if holds]), key=lambda each: each[:2] in known)
        for job_id, epoch, _ in idle:
            if taken - freed <= self._quota_bytes:
                break
            freed += await self._remove(job_id, epoch)
            if (job_id, epoch) in known:
                self.tell(job_id, epoch, GIVEN_UP)
        return freed

    def idle(self, running: Collection[Key]) -> list[tuple[str, int, float]]:
        """Attempts whose worktrees are there and that are not running, and when each was changed; the oldest first."""
        found: list[tuple[str, int, float]] = []
        for place in self._places.iterdir():
            name = _OWN_PLACE.fullmatch(place.name)
            if name is not None and (name[1], int(name[2])) not in running:
                with contextlib.suppress(OSError):
                    found.append((name[1], int(name[2]), place.lstat().st_mtime))
        return sorted(found, key=lambda each: each[2])


def _log(job_id: str, epoch: int, why: str) -> None:
    logger.warning("Attempt %s at job %s: %s", epoch, job_id, why)
