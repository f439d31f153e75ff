"""Where content lies: a folder, with a file for each content and organisation, named by its SHA-256.

    ROOT/incoming/ID            being written
    ROOT/ORGANISATION/ab/abcd…  whole: it appears by a rename, and never changes

All of it is this user's alone (0700, 0600). Methods block: call them on a thread.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pavo.errors import DiskFull, Unavailable
from pavo.kit.sql import is_full

_INCOMING: Final = "incoming"
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW
FORGOTTEN_SECONDS: Final = 2 * 3600.0
"""What was written last so long ago, and has no place, nobody goes on with: a tool may run for an hour."""


@dataclass(frozen=True, slots=True)
class Staged:
    """Content that lies whole beside the store, under a name of its own."""

    path: Path
    sha256: str
    bytes: int


class Draft:
    """Content that is being written. Its file is open only while something is written to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.bytes = 0
        """How many were written."""

    def write(self, data: bytes) -> None:
        """Add to it.

        Raises:
            DiskFull, Unavailable: it cannot be written.
        """
        with _translated():
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | _FLAGS)
            try:
                _write_all(descriptor, data)
            finally:
                os.close(descriptor)
        self._hash.update(data)
        self.bytes += len(data)

    def finish(self) -> Staged:
        """Have it on the disk.

        Raises:
            DiskFull, Unavailable: it cannot be written.
        """
        with _translated():
            _synchronise(self._path, os.O_RDONLY)
        return Staged(self._path, self._hash.hexdigest(), self.bytes)

    def discard(self) -> None:
        """Remove what was written."""
        self._path.unlink(missing_ok=True)


class BlobStore:
    """Content below one root, which API and workers share. It is made at the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def begin(self) -> Draft:
        """New content.

        Raises:
            DiskFull, Unavailable: nothing can be written.
        """
        with _translated():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self.root / _INCOMING
            folder.mkdir(mode=0o700, exist_ok=True)
            path = folder / uuid.uuid4().hex
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _FLAGS, 0o600))
        return Draft(path)

    def stage(self, data: bytes) -> Staged:
        """All of it at once; as `begin`."""
        draft = self.begin()
        try:
            draft.write(data)
            return draft.finish()
        except BaseException:
            draft.discard()
            raise

    def publish(self, organisation_id: uuid.UUID, staged: Staged) -> None:
        """Put it in its place: it is there when this has answered, also after a power failure.

        Raises:
            DiskFull, Unavailable: it could not be.
        """
        place = self.place(organisation_id, staged.sha256)
        with _translated():
            if not place.parent.is_dir():
                place.parents[1].mkdir(mode=0o700, exist_ok=True)
                place.parent.mkdir(mode=0o700, exist_ok=True)
                _synchronise(place.parents[2], os.O_DIRECTORY)
                _synchronise(place.parents[1], os.O_DIRECTORY)
            staged.path.replace(place)
            _synchronise(place.parent, os.O_DIRECTORY)

    def discard(self, staged: Staged) -> None:
        """It is not to be kept; what was put in its place is not concerned."""
        with suppress(OSError):
            staged.path.unlink(missing_ok=True)

    def open(self, organisation_id: uuid.UUID, sha256: str) -> int:
        """A descriptor to read it by; the caller closes it. It stays readable when the content is removed.

        Raises:
            Unavailable: it is not there.
        """
        try:
            return os.open(self.place(organisation_id, sha256), os.O_RDONLY | _FLAGS)
        except OSError as error:
            raise Unavailable(
                f"Content {sha256[:12]} is not in {self.root}: {error.strerror}.",
                dependency="artifacts",
                remedy="Give API and workers the same PAVO_ARTIFACTS_FOLDER, or bring back what was removed from it.",
            ) from error

    def remove(self, organisation_id: uuid.UUID, sha256: str) -> None:
        """Remove content that nothing names any more; that it is gone already is well.

        Raises:
            OSError: it cannot be removed.
        """
        place = self.place(organisation_id, sha256)
        place.unlink(missing_ok=True)
        for folder in (place.parent, place.parent.parent):
            with suppress(OSError):  # something else is in there
                folder.rmdir()

    def has(self, organisation_id: uuid.UUID, sha256: str) -> bool:
        """Whether it is there."""
        return self.place(organisation_id, sha256).is_file()

    def forget_drafts(self) -> int:
        """Remove what was begun and is not gone on with, since its writer died; answers how many."""
        removed, before = 0, time.time() - FORGOTTEN_SECONDS
        with suppress(FileNotFoundError), os.scandir(self.root / _INCOMING) as entries:
            for each in entries:
                with suppress(OSError):
                    if each.stat(follow_symlinks=False).st_mtime < before:
                        os.unlink(each.path)  # noqa: PTH108 - an entry has no Path
                        removed += 1
        return removed

    def contents(self) -> Iterator[tuple[uuid.UUID, Sequence[str]]]:
        """What is there, a folder at a time: the organisation, and hashes."""
        for organisation in _names(self.root):
            try:
                organisation_id = uuid.UUID(organisation)
            except ValueError:
                continue
            for folder in _names(self.root / organisation):
                hashes = [name for name in _names(self.root / organisation / folder) if len(name) == 64]
                if hashes:
                    yield organisation_id, hashes

    def place(self, organisation_id: uuid.UUID, sha256: str) -> Path:
        """Where it lies, or would."""
        return self.root / str(organisation_id) / sha256[:2] / sha256


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted
    return []


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _synchronise(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | _FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise Unavailable(f"Artifacts cannot be written: {error}.", dependency="artifacts") from error
        raise DiskFull(
            "The disk of the artifacts is full: nothing can be kept.",
            dependency="artifacts",
            retry_after=30,
            remedy="Make space on the disk of PAVO_ARTIFACTS_FOLDER; nothing that was recorded is lost.",
        ) from error
