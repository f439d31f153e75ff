"""Which code an agent is: its distribution and version, and whether what lies on disk is still what was loaded.

Installing another version replaces files under a running worker. Processes that begin after that would load other code
than the worker has, some of it while it is being replaced: so both sides say what they found, and other code is no
failure of the agent's.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from pavo.errors import Unavailable

PROTOCOL: Final = 12
"""How a worker and its agents' processes talk. Raise it with every change of `hosts.wire`, of the programs' arguments,
or of what they send each other; both sides compare it before anything else."""
EXIT_OTHER_CODE: Final = 114
"""Exit code of a process whose code is not its worker's; not otherwise used by shells or Python."""
CODE: Final = "code"
"""`dependency` of what fails because the code on disk has changed."""
_MAX_FILES: Final = 5000
"""Of a package; what a larger one has beside is told by its version alone."""
_CONTENT_BYTES: Final = 50_000_000
_CONTENT_FILE_BYTES: Final = 2_000_000
"""Of a package, and of one of its files: what of it is read."""
_CODE: Final = (".py", ".so", ".dylib")
_INSTALLED: Final = (".dist-info", ".egg-info")


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """An agent's code as it was found when it was loaded."""

    target: str
    """`module:Class`."""
    distribution: str
    """The package that brought it, with its version."""
    path: tuple[str, ...]
    """Where it was looked for: `sys.path` as it was, for what is loaded may change it."""
    fingerprint: str
    """Of its files, of Pavo's, and of the list of what is installed."""
    content: str
    """Of what its own files say, the same wherever they are: who edits code in place changes no version."""

    @classmethod
    def found(cls, target: str, distribution: str) -> "CodeVersion":
        """What lies on disk now."""
        path = tuple(sys.path)
        fingerprint = fingerprint_of(target, path)
        return cls(target, distribution, path, fingerprint, _content_of(_package_of(target), path, fingerprint))

    @property
    def is_still_there(self) -> bool:
        """Whether who loads it now gets the same."""
        return fingerprint_of(self.target, self.path) == self.fingerprint

    @property
    def changed(self) -> Unavailable:
        """The failure of an attempt that would need it when it is there no more."""
        return Unavailable(
            f"The code on disk is not what this worker has loaded ({self.distribution}).",
            dependency=CODE,
            remedy="The worker begins anew with what is installed now, and the task goes on there.",
        )

    @property
    def label(self) -> str:
        """As people read it and attempts record it."""
        return f"{self.distribution} (code {self.content}, protocol {PROTOCOL})"


def fingerprint_of(target: str, path: Sequence[str]) -> str:
    """Of the files of the target's package and of Pavo's, by name, size and time, and of what is installed.

    Empty while one of the packages is not there.
    """
    digest = hashlib.sha256()
    for package in dict.fromkeys((_package_of(target), "pavo")):
        lines = sorted(line for _, file in _files_of(package, path) for line in _stated(file))
        if not lines:
            return ""
        for line in lines:
            digest.update(line.encode(errors="surrogateescape"))
    for line in sorted(_installed(path)):
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _package_of(target: str) -> str:
    return target.partition(":")[0].partition(".")[0]


@lru_cache(maxsize=100)
def _content_of(package: str, path: tuple[str, ...], _found: str) -> str:
    """Of the package, by names within it and what stands there; of large files their size alone. Read once for all
    agents of a package as it was found."""
    digest, left = hashlib.sha256(), _CONTENT_BYTES
    for name, file in sorted(_files_of(package, path)):
        with suppress(OSError):
            size = Path(file).stat().st_size
            content = Path(file).read_bytes() if size <= min(_CONTENT_FILE_BYTES, left) else b""
            left -= len(content)
            digest.update(f"{name} {size}\n".encode(errors="surrogateescape") + content)
    return digest.hexdigest()[:8]


def _forget_finders() -> None:
    """What was looked for before may be there by now. Python walks what it remembers of places, and deletes some,
    without asking whether they are still there: another thread that does the same in this moment is no failure."""
    while True:
        with suppress(KeyError, RuntimeError):
            PathFinder.invalidate_caches()
            return


def _files_of(package: str, path: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The package's files of code: their names within it, and where they are."""
    try:
        _forget_finders()
        spec = PathFinder.find_spec(package, path) or importlib.util.find_spec(package)
    except (ImportError, ValueError):  # being replaced, or a module without one
        return
    if spec is None:
        return
    folders = [os.fspath(each) for each in spec.submodule_search_locations or ()]
    if spec.origin is not None:
        yield Path(spec.origin).name, spec.origin
    count = 0
    for folder in folders:
        for file in _walk(folder):
            yield os.path.relpath(file, folder), file
            count += 1
            if count >= _MAX_FILES:
                return


def _walk(folder: str) -> Iterator[str]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (os.path.join(where, name) for name in sorted(names) if name.endswith(_CODE))  # noqa: PTH118


def _stated(path: str) -> Iterator[str]:
    with suppress(OSError):
        stat = Path(path).stat()
        yield f"{path} {stat.st_size} {stat.st_mtime_ns}\n"


def _installed(path: Sequence[str]) -> Iterator[str]:
    for folder in dict.fromkeys(path):
        with suppress(OSError):
            yield from (f"{folder}/{name}\n" for name in os.listdir(folder or ".") if name.endswith(_INSTALLED))  # noqa: PTH208
