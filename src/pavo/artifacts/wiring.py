"""How artifacts come into the processes of Pavo."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pavo.artifacts.domain import ArtifactLimits
from pavo.artifacts.folder_store import FolderStore
from pavo.artifacts.service import ArtifactService
from pavo.artifacts.store import BlobStore
from pavo.config import ArtifactSettings, Settings
from pavo.kit.extras import needing
from pavo.kit.sql import Database


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where content lies, and how much of it may."""

    store: BlobStore
    limits: ArtifactLimits


def artifact_folder(settings: Settings) -> Path | None:
    """Where content lies on this machine; None: nobody has said."""
    return _folder(settings.artifacts, settings.agents.data_dir)


def open_store(own: ArtifactSettings, data_dir: Path | None) -> BlobStore | None:
    """Where content lies; None: nobody has said.

    Raises:
        NotInstalled: it is to lie in a bucket, and the extra for that is not installed.
    """
    folder = _folder(own, data_dir)
    if not own.s3:
        return None if folder is None else FolderStore(folder)
    with needing("Keeping artifacts in S3", field="PAVO_ARTIFACTS_S3"):
        from pavo.artifacts.s3_store import S3Store
    return S3Store(own, folder or Path(tempfile.gettempdir()) / f"pavo-artifacts-{os.getuid()}")


def build_keeping(settings: Settings) -> Keeping | None:
    """What a worker needs to keep files; None: nobody has said where."""
    store, own = open_store(settings.artifacts, settings.agents.data_dir), settings.artifacts
    limits = ArtifactLimits(own.task_mb * 1_000_000, own.organisation_mb * 1_000_000)
    return None if store is None else Keeping(store, limits)


def build_service(database: Database, settings: Settings) -> ArtifactService:
    """What the API needs to show them."""
    return ArtifactService(database, open_store(settings.artifacts, settings.agents.data_dir))


def _folder(own: ArtifactSettings, data_dir: Path | None) -> Path | None:
    return own.folder or (data_dir / "artifacts" if data_dir is not None else None)
