"""The content of artifacts in a backup: what the rows of its moment name, and nothing else.

Content never changes, so it may be copied after the moment; and none of it goes meanwhile, for the backup holds the
lock that sweeps take. Where backup and store are on one file system, the copies are links.
"""

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
from pydantic import BaseModel

from pavo.artifacts.domain import CHUNK_BYTES, SWEEP_LOCK
from pavo.artifacts.folder_store import FolderStore
from pavo.artifacts.store import BlobStore
from pavo.artifacts.wiring import open_store
from pavo.config import load
from pavo.deploy.model import kept_settings
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError

FOLDER: Final = "artifacts"
LISTING: Final = "artifacts.txt"
Connection = psycopg.Connection[tuple[Any, ...]]


class BackedUpArtifacts(BaseModel):
    """What a backup holds of artifacts."""

    count: int
    """Of contents: what several artifacts name is there once."""
    bytes: int
    missing: int
    """Contents that rows name and the store did not have."""
    sha256: str
    """Of the list of them."""


def store_of(layout: Layout) -> BlobStore:
    """Where a deployment's content lies.

    Raises:
        NotInstalled: it lies in a bucket, and the extra for that is not installed.
    """
    kept = kept_settings.load(layout)
    settings = load(os.environ if kept is None else kept.values)
    return open_store(settings.artifacts, layout.root) or FolderStore(layout.root / FOLDER)


def hold(session: Connection) -> None:
    """Have no content go as long as the session lasts."""
    session.execute("SELECT pg_advisory_lock_shared(%s)", (SWEEP_LOCK,))


def copy(reader: Connection, store: BlobStore, folder: Path) -> BackedUpArtifacts | None:
    """Copy what the reader's snapshot names; None: it is of a schema without artifacts."""
    if reader.execute("SELECT to_regclass('public.artifacts')").fetchone() == (None,):
        return None
    named = reader.execute("SELECT DISTINCT organisation_id, sha256, bytes FROM artifacts ORDER BY 1, 2").fetchall()
    lines: list[str] = []
    size = 0
    for organisation, sha256, count in named:
        if not store.has(organisation, sha256):
            continue
        target = folder / FOLDER / str(organisation) / sha256
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        store.lay(organisation, sha256, target)
        lines.append(f"{organisation} {sha256} {count}\n")
        size += int(count)
    listing = folder / LISTING
    listing.write_text("".join(lines))
    listing.chmod(0o600)
    return BackedUpArtifacts(count=len(lines), bytes=size, missing=len(named) - len(lines), sha256=_sha256(listing))


def check(folder: Path, kept: BackedUpArtifacts) -> None:
    """See that everything that is listed is there; `prove` reads it.

    Raises:
        ConfigurationError: something was changed or is missing.
    """
    listing = folder / LISTING
    if not listing.exists() or _sha256(listing) != kept.sha256:
        raise _changed(listing)
    for file, _, _, size in _listed(folder):
        if not file.is_file() or file.stat().st_size != size:
            raise _changed(file)


def prove(folder: Path) -> None:
    """Read all of it.

    Raises:
        ConfigurationError: something is not what was backed up.
    """
    for file, _, sha256, _ in _listed(folder):
        if _sha256(file) != sha256:
            raise _changed(file)


def put_back(folder: Path, store: BlobStore) -> int:
    """Put what the store lacks into it; how much that was. What else lies there stays: once nothing names it, a worker
    removes it.

    Raises:
        ConfigurationError: something is not what was backed up.
    """
    put = 0
    for file, organisation, sha256, _ in _listed(folder):
        if store.has(organisation, sha256):
            continue
        draft = store.begin()
        with file.open("rb") as stream:
            while piece := stream.read(CHUNK_BYTES):
                draft.write(piece)
        staged = draft.finish()
        if staged.sha256 != sha256:
            store.discard(staged)
            raise _changed(file)
        store.publish(organisation, staged)
        put += 1
    return put


def _listed(folder: Path) -> Iterator[tuple[Path, uuid.UUID, str, int]]:
    for line in (folder / LISTING).read_text().splitlines():
        organisation, sha256, size = line.split(" ")
        yield folder / FOLDER / organisation / sha256, uuid.UUID(organisation), sha256, int(size)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _changed(file: Path) -> ConfigurationError:
    return ConfigurationError(f"{file} is not what was backed up.", field="BACKUP", remedy="Use another backup.")
