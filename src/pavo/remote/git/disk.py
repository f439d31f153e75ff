"""Space: how much folders take, how much is left, and folders removed whole."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any


def size_of(place: Path) -> int:
    """Bytes on the disk of all below; links are not followed. What goes away meanwhile takes none."""
    total, left = 0, [os.fspath(place)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
    return total


def free_at(place: Path) -> int:
    """Bytes that may still be written there."""
    return shutil.disk_usage(place).free


def remove_tree(place: Path) -> None:
    """Remove a folder with all below, or a link itself and nothing behind it; gone already is well.

    Raises:
        OSError: something of it stays.
    """
    if place.is_symlink() or place.is_file():
        place.unlink(missing_ok=True)
    elif place.exists():
        shutil.rmtree(place, onerror=_make_writable)


def _make_writable(function: Callable[..., Any], path: str, error: Any) -> None:
    """Programs leave folders that nobody may write, such as caches of modules."""
    if isinstance(error[1], FileNotFoundError):
        return
    for each in (os.path.dirname(path), path):  # noqa: PTH120 - as rmtree names it
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.lstat(each).st_mode):
                os.chmod(each, 0o700)  # noqa: PTH101
    if function is os.unlink or function is os.rmdir:
        function(path)
    else:  # it could not be looked into
        shutil.rmtree(path)
