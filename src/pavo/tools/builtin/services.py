"""What tools that come with Pavo use of it, for one task."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from pavo.agents.contract import Corpus, Hit
from pavo.artifacts.domain import ArtifactPart
from pavo.artifacts.reading import ArtifactReader
from pavo.errors import ToolFailed
from pavo.tools.builtin.commands import CommandRunner, Ran
from pavo.tools.builtin.web import WebPage, WebReader

R = TypeVar("R")


class TaskServices:
    """See `tools.contract.ToolServices`; made on the loop to which the corpus belongs, used on a tool's own."""

    def __init__(
        self,
        corpus: Corpus,
        web: WebReader,
        artifacts: ArtifactReader | None = None,
        commands: CommandRunner | None = None,
    ) -> None:
        self._corpus = corpus
        self._web = web
        self._artifacts = artifacts
        self._commands = commands
        self._loop = asyncio.get_running_loop()

    async def search_corpus(self, query: str, limit: int) -> Sequence[Hit]:
        """The organisation's documents that hold any of the words, best first."""
        searching = asyncio.run_coroutine_threadsafe(self._search(query, limit), self._loop)
        return await asyncio.wrap_future(searching)

    async def _search(self, query: str, limit: int) -> Sequence[Hit]:
        return await self._corpus.search(query, limit)

    async def get(self, url: str) -> WebPage:
        """A page of the web that the operator allows."""
        return await self._web.get(url)

    async def artifact(self, which: str, offset: int, length: int) -> ArtifactPart:
        """A part of one of the task's artifacts."""
        if self._artifacts is None:
            raise ToolFailed(
                "It is not known where artifacts lie.",
                remedy="Set PAVO_ARTIFACTS_FOLDER, or PAVO_DATA_DIR, for the API and for the workers.",
            )
        reading = asyncio.run_coroutine_threadsafe(self._artifacts.part(which, offset, length), self._loop)
        return await asyncio.wrap_future(reading)

    async def run_command(self, command: str, seconds: float) -> Ran:
        """What became of a command; this thread waits for it."""
        if self._commands is None:
            raise ToolFailed("There is no workspace here.", remedy="Call it in a task.")
        confinement, told = await self._there(self._commands.hold())
        try:
            return self._commands.run(command, seconds, confinement, told)
        finally:
            await self._there(self._commands.leave())

    async def _there(self, what: Coroutine[Any, Any, R]) -> R:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what, self._loop))
