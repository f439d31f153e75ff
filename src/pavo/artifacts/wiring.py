"""How artifacts come into the processes of Pavo."""

from dataclasses import dataclass
from pathlib import Path

from pavo.artifacts.domain import ArtifactLimits
from pavo.artifacts.service import ArtifactService
from pavo.artifacts.store import BlobStore
from pavo.config import Settings
from pavo.kit.sql import Database


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where content lies, and how much of it may."""

    store: BlobStore
    limits: ArtifactLimits


def artifact_folder(settings: Settings) -> Path | None:
    """Where content lies; None: nobody has said."""
    if settings.artifacts.folder is not None:
        return settings.artifacts.folder
    return settings.agents.data_dir / "artifacts" if settings.agents.data_dir is not None else None


def build_keeping(settings: Settings) -> Keeping | None:
    """What a worker needs to keep files; None: nobody has said where."""
    folder, own = artifact_folder(settings), settings.artifacts
    limits = ArtifactLimits(own.task_mb * 1_000_000, own.organisation_mb * 1_000_000)
    return None if folder is None else Keeping(BlobStore(folder), limits)


def build_service(database: Database, settings: Settings) -> ArtifactService:
    """What the API needs to show them."""
    folder = artifact_folder(settings)
    return ArtifactService(database, None if folder is None else BlobStore(folder))
