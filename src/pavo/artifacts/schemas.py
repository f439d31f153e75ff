"""Artifacts as the API shows them."""

import uuid
from datetime import datetime

from pydantic import BaseModel, Field

from pavo.artifacts.domain import Artifact


class ArtifactOut(BaseModel):
    """A file of a task."""

    id: uuid.UUID
    """Of this content under this name: once it is replaced, it is not found any more."""
    name: str
    """Those that tools wrote into the workspace begin `workspace/`, their long results `results/`."""
    media_type: str
    bytes: int
    sha256: str
    """Of its content, in hex."""
    created_at: datetime


class ArtifactPage(BaseModel):
    """Artifacts of a task, by name."""

    items: list[ArtifactOut]
    next_cursor: str | None = Field(default=None, description="`cursor` of the page that follows, if one does.")


def artifact_out(artifact: Artifact) -> ArtifactOut:
    """The artifact as the API shows it."""
    return ArtifactOut(
        id=artifact.id,
        name=artifact.name,
        media_type=artifact.media_type,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        created_at=artifact.created_at,
    )
