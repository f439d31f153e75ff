"""Where content lies, named by its SHA-256, once for each organisation; and where it is written before.

It is written beside the place that it will have, into a folder of this machine, and appears there whole. Methods block:
call them on a thread.
"""

import hashlib
import os
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pavo.errors import DiskFull, Unavailable
from pavo.kit.sql import is_full

_INCOMING: Final = "incoming"
FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW
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
        with translated():
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | FLAGS)
            try:
                write_all(descriptor, data)
            finally:
                os.close(descriptor)
        self._hash.update(data)
        self.bytes += len(data)

    def finish(self) -> Staged:
        """Have it on the disk.

        Raises:
            DiskFull, Unavailable: it cannot be written.
        """
        with translated():
            synchronise(self._path, os.O_RDONLY)
        return Staged(self._path, self._hash.hexdigest(), self.bytes)

    def discard(self) -> None:
        """Remove what was written."""
        self._path.unlink(missing_ok=True)


class BlobStore(ABC):
    """Content that API and workers share.

    Args:
        root: what is being written lies below it; made at the first write, for this user alone (0700, 0600).
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def begin(self) -> Draft:
        """New content.

        Raises:
            DiskFull, Unavailable: nothing can be written.
        """
        with translated():
            path = self.incoming() / uuid.uuid4().hex
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | FLAGS, 0o600))
        return Draft(path)

    def incoming(self) -> Path:
        """The folder of what is under way, made where it is not there.

        Raises:
            OSError: it cannot be made.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.root / _INCOMING
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def stage(self, data: bytes) -> Staged:
        """All of it at once; as `begin`."""
        draft = self.begin()
        try:
            draft.write(data)
            return draft.finish()
        except BaseException:
            draft.discard()
            raise

    def discard(self, staged: Staged) -> None:
        """It is not to be kept; what was put in its place is not concerned."""
        with suppress(OSError):
            staged.path.unlink(missing_ok=True)

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

    @abstractmethod
    def publish(self, organisation_id: uuid.UUID, staged: Staged) -> None:
        """Put it in its place: it is there when this has answered, also after a power failure. Twice is once.

        Raises:
            DiskFull, Unavailable: it could not be.
        """

    @abstractmethod
    def open(self, organisation_id: uuid.UUID, sha256: str) -> int:
        """A descriptor to read it by; the caller closes it. It stays readable when the content is removed.

        Raises:
            Unavailable: it is not there, or cannot be reached.
        """

    def part(self, organisation_id: uuid.UUID, sha256: str, offset: int, length: int) -> bytes:
        """So many bytes from there on; the caller knows that there are.

        Raises:
            Unavailable: it is not there, or cannot be reached.
        """
        descriptor = self.open(organisation_id, sha256)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    @abstractmethod
    def remove(self, organisation_id: uuid.UUID, sha256: str) -> None:
        """Remove content that nothing names any more; that it is gone already is well.

        Raises:
            OSError: it cannot be removed.
        """

    @abstractmethod
    def has(self, organisation_id: uuid.UUID, sha256: str) -> bool:
        """Whether it is there.

        Raises:
            Unavailable: that cannot be found out.
        """

    @abstractmethod
    def contents(self) -> Iterator[tuple[uuid.UUID, Sequence[str]]]:
        """What is there, some at a time: the organisation, and hashes.

        Raises:
            Unavailable: that cannot be found out.
        """

    @abstractmethod
    def lay(self, organisation_id: uuid.UUID, sha256: str, target: Path) -> None:
        """Put what is there into a file that is not there yet.

        Raises:
            DiskFull, Unavailable: it could not be.
        """


def write_all(descriptor: int, data: bytes) -> None:
    """Write it, however many writes it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def synchronise(path: Path, flags: int) -> None:
    """Have it on the disk."""
    descriptor = os.open(path, flags | FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def translated() -> Generator[None]:
    """Around writes: their errors as Pavo's."""
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
