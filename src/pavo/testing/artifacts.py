"""Where an agent keeps files in a trial: in memory, with the checks of the real one."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pavo.artifacts.domain import (
    HEAD_BYTES,
    TOLD_NAMES,
    Artifact,
    ArtifactPart,
    checked_media_type,
    checked_name,
    no_such,
    none_of_these,
    too_much,
)

MOST_BYTES: Final = 100_000_000
"""That a trial keeps."""


class KeptFiles:
    """See `agents.filing.artifacts.Keeper`."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[str, str, bytearray]] = {}
        self._kept: dict[str, tuple[Artifact, bytes]] = {}

    def forget(self) -> None:
        """Another life begins: nothing was kept."""
        self._begun.clear()
        self._kept.clear()

    @property
    def contents(self) -> Mapping[str, bytes]:
        """What is kept, by name."""
        return {name: content for name, (_, content) in sorted(self._kept.items())}

    async def begin(self, name: str, media_type: str) -> str:
        """An id for the calls that follow."""
        upload = uuid.uuid4().hex
        self._begun[upload] = (checked_name(name), checked_media_type(media_type, name), bytearray())
        return upload

    async def write(self, upload: str, data: bytes) -> None:
        """Add to what was begun."""
        content = self._begun[upload][2]
        if len(content) + len(data) + sum(len(each) for each in self.contents.values()) > MOST_BYTES:
            raise too_much("A trial", MOST_BYTES, "the limit of tasks")
        content += data

    async def finish(self, upload: str) -> Artifact:
        """Keep it."""
        name, media_type, content = self._begun.pop(upload)
        return self.keep(name, media_type, bytes(content))

    def keep(self, name: str, media_type: str, content: bytes) -> Artifact:
        """Keep a file, unless it is there as it is."""
        sha256 = hashlib.sha256(content).hexdigest()
        there = self._kept.get(name)
        if there is not None and (there[0].sha256, there[0].media_type) == (sha256, media_type):
            return there[0]
        # The same in each life: a reference to it may be in a checkpoint.
        identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"{sha256}/{name}")
        made = Artifact(identifier, name, media_type, len(content), sha256, datetime.now(UTC))
        self._kept[name] = (made, content)
        return made

    async def abandon(self, upload: str) -> None:
        """Forget it."""
        self._begun.pop(upload, None)

    async def page(self, after: str, limit: int) -> Sequence[Artifact]:
        """Artifacts by name."""
        return [artifact for name, (artifact, _) in sorted(self._kept.items()) if name > after][:limit]

    async def read(self, which: str, offset: int, length: int) -> bytes:
        """A part of an artifact."""
        found = self._found(which)
        if found is None:
            raise no_such(which)
        return found[1][offset : offset + length]

    def part(self, which: str, offset: int, length: int) -> ArtifactPart:
        """The same, with what is known of it."""
        found = self._found(which)
        if found is None:
            names = sorted(self._kept)
            raise none_of_these(which, names[:TOLD_NAMES], more=len(names) > TOLD_NAMES)
        artifact, content = found
        part = content[offset : offset + length]
        return ArtifactPart(artifact.name, artifact.media_type, artifact.bytes, part, content[:HEAD_BYTES])

    def _found(self, which: str) -> tuple[Artifact, bytes] | None:
        return next((each for each in self._kept.values() if which in (each[0].name, str(each[0].id))), None)
