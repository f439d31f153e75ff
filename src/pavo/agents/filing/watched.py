"""Where the agent keeps files, as its host hands it over: the host knows of what is under way."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from pavo.agents.filing.artifacts import Keeper
from pavo.artifacts.domain import Artifact


class WatchedKeeper:
    """See `artifacts.Keeper`.

    Args:
        settling: within, something is under way, for whose end an attempt waits.
    """

    def __init__(self, keeper: Keeper, settling: Callable[[], AbstractContextManager[None]]) -> None:
        self._keeper = keeper
        self._settling = settling

    async def begin(self, name: str, media_type: str) -> str:
        """An id for the calls that follow."""
        with self._settling():
            return await self._keeper.begin(name, media_type)

    async def write(self, upload: str, data: bytes) -> None:
        """Add to what was begun."""
        with self._settling():
            await self._keeper.write(upload, data)

    async def finish(self, upload: str) -> Artifact:
        """Record it."""
        with self._settling():
            return await self._keeper.finish(upload)

    async def abandon(self, upload: str) -> None:
        """Forget it."""
        with self._settling():
            await self._keeper.abandon(upload)

    async def page(self, after: str, limit: int) -> Sequence[Artifact]:
        """Artifacts by name, after this one."""
        with self._settling():
            return await self._keeper.page(after, limit)

    async def read(self, which: str, offset: int, length: int) -> bytes:
        """A part of an artifact."""
        with self._settling():
            return await self._keeper.read(which, offset, length)
