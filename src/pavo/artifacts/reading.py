"""Reading the artifacts of one task: by whoever works for it."""

import asyncio

from pavo.artifacts import recording
from pavo.artifacts.domain import (
    HEAD_BYTES,
    TOLD_NAMES,
    Artifact,
    ArtifactPart,
    checked_range,
    no_such,
    none_of_these,
)
from pavo.artifacts.recording import ArtifactOwner
from pavo.artifacts.store import BlobStore
from pavo.errors import ArtifactError
from pavo.kit.sql import Database


class ArtifactReader:
    """The artifacts of one task, and of no other."""

    def __init__(self, database: Database, store: BlobStore, owner: ArtifactOwner) -> None:
        self._database = database
        self._store = store
        self._owner = owner

    async def read(self, which: str, offset: int, length: int) -> bytes:
        """A part of the artifact with this id or name.

        Raises:
            ArtifactError: there is none.
            Unavailable: its content cannot be read.
        """
        found = await self._find(which)
        if found is None:
            raise no_such(which)
        return await self._read(found, offset, length)

    async def part(self, which: str, offset: int, length: int) -> ArtifactPart:
        """The same, with what is known of it; the error names those that there are."""
        offset, length = checked_range(offset, length)
        found = await self._find(which)
        if found is None:
            raise await self._none_of_these(which)
        data = await self._read(found, offset, length)
        head = data[:HEAD_BYTES] if not offset else await self._read(found, 0, HEAD_BYTES)
        return ArtifactPart(found.name, found.media_type, found.bytes, data, head)

    async def _find(self, which: str) -> Artifact | None:
        async with self._database.reading() as session:
            return await recording.find(session, self._owner.id, which)

    async def _none_of_these(self, which: str) -> ArtifactError:
        async with self._database.reading() as session:
            found = await recording.listed(session, self._owner.id, "", TOLD_NAMES + 1)
        return none_of_these(which, [each.name for each in found[:TOLD_NAMES]], more=len(found) > TOLD_NAMES)

    async def _read(self, found: Artifact, offset: int, length: int) -> bytes:
        """What there is of it."""
        there = min(length, found.bytes - offset)
        if there <= 0:
            return b""
        return await asyncio.to_thread(self._store.part, self._owner.organisation_id, found.sha256, offset, there)
