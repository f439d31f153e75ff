"""The files that tools wrote into a task's workspace, put back into its folder before another attempt begins."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pavo.agents.confinement.confining import Confining
from pavo.artifacts import recording
from pavo.artifacts.domain import CHUNK_BYTES, WORKSPACE, Artifact
from pavo.artifacts.recording import ArtifactOwner
from pavo.artifacts.wiring import Keeping
from pavo.errors import ArtifactError, Unavailable
from pavo.kit.sql import Database
from pavo.tools.workspaces import beneath

_PAGE = 1000


async def restore_files(database: Database, keeping: Keeping, confining: Confining, owner: ArtifactOwner) -> int:
    """Have every recorded file in the task's folder as it was recorded; how many had to be written. What else is in
    there stays.

    Raises:
        Unavailable: they cannot be read or written now.
    """
    files = await _recorded(database, owner)
    if not files:
        return 0
    try:
        folder = await confining.hold(owner.id)
    except OSError as error:
        raise Unavailable(f"No working folder for the task: {error}.", dependency="process") from error
    try:
        return await asyncio.to_thread(_put_back, keeping, owner, folder, files)
    except (ArtifactError, OSError) as error:
        raise Unavailable(f"A file of the task cannot be put back: {error}", dependency="process") from error
    finally:
        confining.folders.leave(owner.id)


async def _recorded(database: Database, owner: ArtifactOwner) -> Sequence[Artifact]:
    found: list[Artifact] = []
    async with database.reading() as session:
        while True:
            after = found[-1].name if found else ""
            page = await recording.listed(session, owner.id, after, _PAGE, WORKSPACE)
            found += page
            if len(page) < _PAGE:
                return found


def _put_back(keeping: Keeping, owner: ArtifactOwner, folder: Path, files: Sequence[Artifact]) -> int:
    written = 0
    for file in files:
        parts = file.name.removeprefix(WORKSPACE).split("/")
        if _is_there(folder, parts, file):
            continue
        source = keeping.store.open(owner.organisation_id, file.sha256)
        try:
            _write(folder, parts, lambda to, source=source: _copy(source, to))
        finally:
            os.close(source)
        written += 1
    return written


def _write(folder: Path, parts: Sequence[str], fill: Callable[[int], None]) -> None:
    """Write a file also where the agent has put something else in its place, or closed a folder above it: whatever it
    leaves, the next attempt begins."""
    try:
        beneath.write(folder, parts, fill)
    except ArtifactError:
        beneath.set_aside(folder, parts)
        beneath.write(folder, parts, fill)


def _is_there(folder: Path, parts: Sequence[str], file: Artifact) -> bool:
    try:
        with beneath.reading(folder, parts) as descriptor:
            if os.fstat(descriptor).st_size != file.bytes:
                return False
            with os.fdopen(os.dup(descriptor), "rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
    except ArtifactError:
        return False  # not there, or something else is: writing says what


def _copy(source: int, to: int) -> None:
    offset = 0
    while piece := os.pread(source, CHUNK_BYTES, offset):
        offset += len(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(to, view) :]
