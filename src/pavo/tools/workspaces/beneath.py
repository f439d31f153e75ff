"""Files beneath a folder in which somebody else may work, too: no way leads out of it.

Every part of a path is opened within the one before and by its own name, and no link is followed, whatever is put in
its place meanwhile. The names are checked before: none is empty, `.` or `..`, none holds a slash.
"""

import errno
import os
import stat
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pavo.errors import ArtifactError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_DEPTH: Final = 20
"""Folders within each other that are looked into."""


@contextmanager
def reading(root: Path, parts: Sequence[str]) -> Generator[int]:
    """A descriptor of a file.

    Raises:
        ArtifactError: there is none, or what is there is no plain file of its own.
    """
    with told(parts), _folder(root, parts[:-1]) as (here, owner):
        descriptor = os.open(parts[-1], _FILE, dir_fd=here)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ArtifactError(f"{'/'.join(parts)} is no file.", field="path")
            # Where the system lets everybody, somebody may have linked a file that is not theirs to read.
            if found.st_nlink > 1 and found.st_uid != owner.st_uid:
                raise ArtifactError(f"{'/'.join(parts)} is somebody else's file.", field="path")
            yield descriptor
        finally:
            os.close(descriptor)


def write(root: Path, parts: Sequence[str], fill: Callable[[int], None]) -> None:
    """Make or replace a file, with the folders above it: it is there whole, or as it was.

    Args:
        fill: writes to a descriptor.

    Raises:
        ArtifactError: it cannot be made there.
    """
    draft = f".{uuid.uuid4().hex}.part"
    with told(parts), _folder(root, parts[:-1], make=True) as (here, owner):
        descriptor = os.open(draft, _NEW, 0o600, dir_fd=here)
        try:
            try:
                fill(descriptor)
                _give(descriptor, owner)
            finally:
                os.close(descriptor)
            os.replace(draft, parts[-1], src_dir_fd=here, dst_dir_fd=here)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft, dir_fd=here)
            raise


def set_aside(root: Path, parts: Sequence[str]) -> None:
    """Make way for a file: what is no folder above it, or a folder where it belongs, gets another name beside.

    Raises:
        ArtifactError: it cannot be done.
    """
    with told(parts), _folder(root, ()) as (top, _):
        here = os.dup(top)
        try:
            for part in parts[:-1]:
                os.fchmod(here, 0o700)
                below = _opened_or_aside(here, part)
                if below is None:
                    return
                os.close(here)
                here = below
            os.fchmod(here, 0o700)
            with suppress(FileNotFoundError):
                if stat.S_ISDIR(os.stat(parts[-1], dir_fd=here, follow_symlinks=False).st_mode):
                    _rename_aside(here, parts[-1])
        finally:
            os.close(here)


def _opened_or_aside(here: int, part: str) -> int | None:
    """The folder; None: there is none any more."""
    try:
        return os.open(part, _FOLDER, dir_fd=here)
    except FileNotFoundError:
        return None
    except OSError:
        _rename_aside(here, part)
        return None


def _rename_aside(here: int, part: str) -> None:
    os.rename(part, f"{part[:60]}.{uuid.uuid4().hex}.aside", src_dir_fd=here, dst_dir_fd=here)


def files(root: Path, parts: Sequence[str], most: int) -> Sequence[tuple[str, int]]:
    """Paths below the folder and their bytes; plain files alone, so many at most, in the order of their paths.

    Raises:
        ArtifactError: there is no such folder.
    """
    found: list[tuple[str, int]] = []
    with told(parts), _folder(root, parts) as (here, _):
        _gather(here, "/".join(parts), len(parts), found, most)
    return sorted(found)


def _gather(here: int, at: str, depth: int, found: list[tuple[str, int]], most: int) -> None:
    with os.scandir(here) as entries:
        for entry in entries:
            if len(found) >= most:
                return
            path = f"{at}/{entry.name}" if at else entry.name
            with suppress(OSError):  # it has just gone, or is closed to this user
                if entry.is_file(follow_symlinks=False):
                    found.append((path, entry.stat(follow_symlinks=False).st_size))
                elif entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                    below = os.open(entry.name, _FOLDER, dir_fd=here)
                    try:
                        _gather(below, path, depth + 1, found, most)
                    finally:
                        os.close(below)


@contextmanager
def _folder(root: Path, parts: Sequence[str], *, make: bool = False) -> Generator[tuple[int, os.stat_result]]:
    """A descriptor of a folder, and whose the root is."""
    here = os.open(root, _FOLDER)
    try:
        owner = os.fstat(here)
        for part in parts:
            below = _below(here, part, owner) if make else os.open(part, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        yield here, owner
    finally:
        os.close(here)


def _below(here: int, part: str, owner: os.stat_result) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=here)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(part, 0o700, dir_fd=here)
    below = os.open(part, _FOLDER, dir_fd=here)
    _give(below, owner)
    return below


def _give(descriptor: int, owner: os.stat_result) -> None:
    """What a worker that is root makes is that of the task's own user."""
    if not os.geteuid() and owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextmanager
def told(parts: Sequence[str]) -> Generator[None]:
    """An error of the file system, as tools are told it."""
    path = "/".join(parts) or "the workspace"
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactError(f"There is no file {path}.", field="path", remedy="Look at the list of files.") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            why = f"{path} leads through a link, or through what is no folder."
            raise ArtifactError(why, field="path", remedy="Choose another path.") from error
        raise ArtifactError(f"{path}: {error.strerror}.", field="path", remedy="Choose another path.") from error
