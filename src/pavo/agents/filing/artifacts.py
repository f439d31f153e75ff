"""What an agent is offered to keep files by, whichever process it runs in."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pavo.artifacts.domain import (
    CHUNK_BYTES,
    MAX_READ_BYTES,
    Artifact,
    checked_media_type,
    checked_name,
    checked_range,
)
from pavo.errors import ArtifactError, PavoError

LIST_PAGE: Final = 1000
"""Artifacts that are asked for at once."""


class Keeper(Protocol):
    """Where a task's artifacts are kept. Names and media types that it is given may be anything."""

    async def begin(self, name: str, media_type: str) -> str:
        """Begin to keep; an id for the calls that follow.

        Raises:
            ArtifactError: it is refused.
            Unavailable: it cannot be kept now.
        """
        ...

    async def write(self, upload: str, data: bytes) -> None:
        """Add to what was begun; as `begin`."""
        ...

    async def finish(self, upload: str) -> Artifact:
        """Record it, under the lease of the attempt; as `begin`."""
        ...

    async def abandon(self, upload: str) -> None:
        """Forget what was begun."""
        ...

    async def page(self, after: str, limit: int) -> Sequence[Artifact]:
        """Artifacts by name, after this one."""
        ...

    async def read(self, which: str, offset: int, length: int) -> bytes:
        """A part of the artifact with this id or name.

        Raises:
            ArtifactError: there is none.
        """
        ...


class NoKeeper:
    """For contexts that are made by hand, and for all but `execute` and `report`."""

    async def begin(self, name: str, media_type: str) -> str:
        """Raises: nothing is kept here."""
        raise self._refusal()

    async def write(self, upload: str, data: bytes) -> None:
        """Raises: as `begin`."""
        raise self._refusal()

    async def finish(self, upload: str) -> Artifact:
        """Raises: as `begin`."""
        raise self._refusal()

    async def abandon(self, upload: str) -> None:
        """Nothing was begun."""

    async def page(self, after: str, limit: int) -> Sequence[Artifact]:
        """Raises: as `begin`."""
        raise self._refusal()

    async def read(self, which: str, offset: int, length: int) -> bytes:
        """Raises: as `begin`."""
        raise self._refusal()

    def _refusal(self) -> ArtifactError:
        return ArtifactError("No artifacts can be had here.", remedy="Ask for them in execute() or report().")


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The files of a task, as its agent keeps and reads them (`ctx.artifacts`)."""

    keeper: Keeper = field(default_factory=NoKeeper)

    async def put(
        self, name: str, data: "bytes | bytearray | memoryview | str | os.PathLike[str]", media_type: str | None = None
    ) -> Artifact:
        """Keep a file; it is recorded when this returns.

        Doing it again with the same content changes nothing; with other content it replaces what had the name.

        Args:
            name: unique within the task, such as `report.csv` or `figures/1.png`.
            data: bytes; a text, which is kept in UTF-8; or the path of a file, a `pathlib.Path`.
            media_type: by default what the name's ending says.

        Raises:
            ArtifactError: the name is none, a limit is reached, or the file cannot be read.
        """
        name = checked_name(name)
        chosen = checked_media_type(media_type, name)
        upload = await self.keeper.begin(name, chosen)
        try:
            if isinstance(data, os.PathLike):
                await _write_file(os.fspath(data), lambda piece: self.keeper.write(upload, piece))
            else:
                content = memoryview(_bytes_of(data))
                for start in range(0, len(content), CHUNK_BYTES):
                    await self.keeper.write(upload, bytes(content[start : start + CHUNK_BYTES]))
            return await self.keeper.finish(upload)
        except (Exception, asyncio.CancelledError):
            with suppress(PavoError):  # what is forgotten nowhere is removed later
                await self.keeper.abandon(upload)
            raise

    async def list(self, prefix: str = "") -> "Sequence[Artifact]":
        """The task's artifacts whose names begin so, by name."""
        found: list[Artifact] = []
        while page := await self.keeper.page(found[-1].name if found else "", LIST_PAGE):
            found += page
            if len(page) < LIST_PAGE:
                break
        return [each for each in found if each.name.startswith(prefix)]

    async def read(self, which: str, offset: int = 0, length: int = MAX_READ_BYTES) -> bytes:
        """A part of an artifact's content: at most `length` bytes and 1 MiB; empty at its end.

        Args:
            which: its id, as a reference in a tool's result has it, or its name.

        Raises:
            ArtifactError: there is none.
        """
        offset, length = checked_range(offset, length)
        return await self.keeper.read(str(which), offset, length)


def _bytes_of(data: object) -> bytes | bytearray | memoryview:
    if isinstance(data, str):
        try:
            return data.encode()
        except UnicodeEncodeError as error:
            raise ArtifactError("put(): data: it holds half a character.", field="data") from error
    if isinstance(data, memoryview):
        return data.cast("B")
    if not isinstance(data, bytes | bytearray):
        told = f"put(): data: {type(data).__name__} is neither bytes, text nor a path."
        raise ArtifactError(told, field="data", remedy="Give bytes, a str, or a pathlib.Path.")
    return data


async def _write_file(path: Any, write: Callable[[bytes], Awaitable[None]]) -> None:
    """A file's content, a piece at a time. What is no file, such as a pipe, is not waited for."""
    try:
        descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ArtifactError("put(): data: the path is no file.", field="data", remedy="Give a file's path.")
            while piece := await asyncio.to_thread(os.read, descriptor, CHUNK_BYTES):
                await write(piece)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        told = f"put(): data: the file cannot be read: {error}."
        raise ArtifactError(told, field="data", remedy="Give the path of a file that the agent can read.") from error
