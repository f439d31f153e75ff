"""Reading the artifacts of one task: by whoever works for it."""

import asyncio
import os

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
        return await asyncio.to_thread(self._read, found.sha256, offset, length)

    async def part(self, which: str, offset: int, length: int) -> ArtifactPart:
        """The same, with what is known of it; the error names those that there are."""
        offset, length = checked_range(offset, length)
        found = await self._find(which)
        if found is None:
            raise await self._none_of_these(which)
        data = await asyncio.to_thread(self._read, found.sha256, offset, length)
        head = data[:HEAD_BYTES] if not offset else await asyncio.to_thread(self._read, found.sha256, 0, HEAD_BYTES)
        return ArtifactPart(found.name, found.media_type, found.bytes, data, head)

    async def _find(self, which: str) -> Artifact | None:
        async with self._database.reading() as session:
            return await recording.find(session, self._owner.id, which)

    async def _none_of_these(self, which: str) -> ArtifactError:
        async with self._database.reading() as session:
            found = await recording.listed(session, self._owner.id, "", TOLD_NAMES + 1)
        return none_of_these(which, [each.name for each in found[:TOLD_NAMES]], more=len(found) > TOLD_NAMES)

    def _read(self, sha256: str, offset: int, length: int) -> bytes:
        descriptor = self._store.open(self._owner.organisation_id, sha256)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
