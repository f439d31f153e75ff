"""Use cases of artifacts for people: list them, download one. Whose a task is, its own slice decides before."""

import asyncio
import uuid
from dataclasses import dataclass
from typing import Final

from pavo.artifacts import recording
from pavo.artifacts.domain import MAX_NAME_BYTES, Artifact
from pavo.artifacts.schemas import ArtifactPage, artifact_out
from pavo.artifacts.store import BlobStore
from pavo.errors import InvalidInput, NotFound, Unavailable
from pavo.kit.sql import Database

MAX_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Content:
    """An artifact whose content is open."""

    artifact: Artifact
    descriptor: int
    """Whoever is given it closes it."""


class ArtifactService:
    """Artifacts of tasks.

    Args:
        store: where their content lies; None: nobody has said where.
    """

    def __init__(self, database: Database, store: BlobStore | None) -> None:
        self._database, self._store = database, store

    async def page(self, subject_id: uuid.UUID, cursor: str, limit: int) -> ArtifactPage:
        """A page by name.

        Args:
            cursor: the last name of the page before.
        """
        if len(cursor.encode("utf-8", "replace")) > MAX_NAME_BYTES or not cursor.isprintable():
            raise InvalidInput("This is no cursor.", field="cursor", remedy="Pass next_cursor of the page before.")
        async with self._database.reading() as session:
            found = await recording.listed(session, subject_id, cursor, limit + 1)
        more = len(found) > limit
        items = [artifact_out(each) for each in found[:limit]]
        return ArtifactPage(items=items, next_cursor=items[-1].name if more else None)

    async def open(self, subject_id: uuid.UUID, which: str, noun: str = "task") -> Content:
        """The artifact of a task or a job with this id or name, its content open.

        Args:
            noun: of the subject's kind.

        Raises:
            NotFound: there is none.
            Unavailable: its content cannot be read.
        """
        async with self._database.reading() as session:
            artifact = await recording.find(session, subject_id, which) if which.isprintable() else None
            owner = None if artifact is None else await recording.owner_of(session, artifact.id)
        if artifact is None or owner is None:
            raise NotFound(
                f"The {noun} has no artifact {which[:100]!r}.",
                field="artifact",
                remedy=f"Look at GET /api/{noun}s/{subject_id}/artifacts.",
            )
        if self._store is None:
            raise not_set()
        descriptor = await asyncio.to_thread(self._store.open, owner, artifact.sha256)
        return Content(artifact, descriptor)


def not_set() -> Unavailable:
    """Nobody has said where artifacts lie."""
    return Unavailable(
        "It is not known where artifacts lie.",
        dependency="artifacts",
        remedy="Set PAVO_ARTIFACTS_FOLDER, or PAVO_DATA_DIR, for the API and for the workers.",
    )
