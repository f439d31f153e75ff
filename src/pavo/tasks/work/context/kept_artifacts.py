"""The files that a task's agent keeps: each recorded under the lease of its attempt."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pavo.agents.filing.artifacts import Keeper, NoKeeper
from pavo.artifacts import recording
from pavo.artifacts.domain import Artifact, checked_media_type, checked_name, too_much
from pavo.artifacts.reading import ArtifactReader
from pavo.artifacts.recording import ArtifactOwner, NewArtifact, Recorded
from pavo.artifacts.store import Draft, Staged
from pavo.artifacts.wiring import Keeping
from pavo.errors import ArtifactError
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.tasks import events
from pavo.tasks.sql import lease
from pavo.tasks.work.context.held_epoch import HeldEpoch, attempt_is_over
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent
from pavo.timeline.publish import Publisher

MAX_UPLOADS: Final = 8
"""Files that an agent keeps at once."""


@dataclass(slots=True)
class _Upload:
    name: str
    media_type: str
    draft: Draft
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class TaskArtifacts:
    """See `agents.filing.artifacts.Keeper`; belongs to the agents' loop."""

    def __init__(
        self, database: Database, publisher: Publisher, keeping: Keeping, owner: ArtifactOwner, held: HeldEpoch
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._keeping = keeping
        self._owner = owner
        self._reader = ArtifactReader(database, keeping.store, owner)
        self._held = held
        self._uploads: dict[str, _Upload] = {}

    async def begin(self, name: str, media_type: str) -> str:
        """An id for the calls that follow."""
        name = checked_name(name)
        media_type = checked_media_type(media_type, name)
        if len(self._uploads) >= MAX_UPLOADS:
            told = f"{MAX_UPLOADS} files are being kept at once."
            raise ArtifactError(told, remedy="Wait for some of them first.")
        upload = uuid.uuid4().hex
        self._uploads[upload] = _Upload(name, media_type, await asyncio.to_thread(self._keeping.store.begin))
        return upload

    async def write(self, upload: str, data: bytes) -> None:
        """Add to what was begun."""
        found = self._found(upload)
        async with found.writing:
            begun = sum(each.draft.bytes for each in self._uploads.values())
            if begun + len(data) > self._keeping.limits.of_task:
                raise too_much("A task", self._keeping.limits.of_task, "PAVO_ARTIFACTS_TASK_MB")
            await asyncio.to_thread(found.draft.write, data)

    async def finish(self, upload: str) -> Artifact:
        """Record it; what was begun goes on to its commit also where nobody waits for that any more."""
        found = self._found(upload)
        del self._uploads[upload]
        return await asyncio.shield(asyncio.create_task(self._finish(found), name=f"artifact of {self._owner.id}"))

    async def _finish(self, upload: _Upload) -> Artifact:
        epoch = self._held.epoch
        async with upload.writing:
            staged = await asyncio.to_thread(_staged, upload.draft)
        new = NewArtifact(upload.name, upload.media_type, staged)
        try:
            await recording.announce(self._database, self._owner, [new])
            async with self._database.transaction() as session:
                if not await lease.holds(session, self._owner.id, epoch, working=True):
                    raise attempt_is_over()
                keeping = self._keeping
                kept = await recording.record(session, keeping.store, keeping.limits, self._owner, [new])
                recorded = await timeline.append(session, self._owner.id, added(kept))
        finally:
            await asyncio.to_thread(self._keeping.store.discard, staged)
        self._publisher.publish(recorded)
        count(kept)
        return kept[0].artifact

    async def abandon(self, upload: str) -> None:
        """Forget it; a finished one stays."""
        found = self._uploads.pop(upload, None)
        if found is not None:
            await asyncio.to_thread(found.draft.discard)

    async def page(self, after: str, limit: int) -> Sequence[Artifact]:
        """Artifacts by name, after this one."""
        async with self._database.reading() as session:
            return await recording.listed(session, self._owner.id, after, limit)

    async def read(self, which: str, offset: int, length: int) -> bytes:
        """A part of an artifact."""
        return await self._reader.read(which, offset, length)

    def _found(self, upload: str) -> _Upload:
        found = self._uploads.get(upload)
        if found is None:
            raise ArtifactError("Nothing was begun under this id, or it has ended.", remedy="Begin anew.")
        return found


def _staged(draft: Draft) -> Staged:
    try:
        return draft.finish()
    except BaseException:
        draft.discard()
        raise


class _NowhereToKeep(NoKeeper):
    """For a worker that does not know where artifacts lie."""

    def _refusal(self) -> ArtifactError:
        return ArtifactError(
            "It is not known where artifacts lie.",
            field="PAVO_ARTIFACTS_FOLDER",
            remedy="Set PAVO_ARTIFACTS_FOLDER, or PAVO_DATA_DIR, for the API and for the workers.",
        )


def keeper_of(
    database: Database, publisher: Publisher, keeping: Keeping | None, owner: ArtifactOwner, held: HeldEpoch | None
) -> Keeper:
    """Where the agent of an attempt keeps files.

    Args:
        held: its epoch; None: it has no lease, for it plans.
    """
    if held is None:
        return NoKeeper()
    if keeping is None:
        return _NowhereToKeep()
    return TaskArtifacts(database, publisher, keeping, owner, held)


def added(kept: Sequence[Recorded]) -> list[NewEvent]:
    """What the timeline tells of it."""
    return [events.artifact_added(each.artifact) for each in kept if each.new]


def count(kept: Sequence[Recorded]) -> None:
    """In the worker's metrics."""
    for each in kept:
        if each.new:
            metrics.ARTIFACTS.add()
            metrics.ARTIFACT_BYTES.add(by=each.artifact.bytes)
