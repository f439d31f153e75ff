"""A workspace that is a folder: what a call writes goes into it at once, and is to be kept with the call's outcome."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pavo.artifacts.domain import MAX_READ_BYTES, WORKSPACE, checked_name, checked_range, too_much
from pavo.artifacts.store import BlobStore, Staged
from pavo.errors import ArtifactError
from pavo.tools.contract import WorkspaceFile
from pavo.tools.workspaces import beneath

MAX_FILES: Final = 1_000
"""That one call may write."""


class FolderWorkspace:
    """See `tools.contract.Workspace`; of one call. Tools use it on their threads.

    Args:
        folder: in which the task works.
        store: where what is written is kept until it is recorded.
        most: bytes that the call may write.
    """

    def __init__(self, folder: Path, store: BlobStore, most: int) -> None:
        self._folder = folder
        self._store = store
        self._most = most
        self._writing = threading.Lock()
        self._written: dict[str, Staged] = {}
        self._over = False

    def write(self, path: str, data: bytes | str) -> None:
        """Write a file."""
        parts = path_parts(path)
        content = data.encode() if isinstance(data, str) else bytes(data)
        with self._writing:
            if self._over:
                raise ArtifactError("The call is over: what it writes now is not kept.")
            before = self._written.get(path)
            if before is None and len(self._written) >= MAX_FILES:
                raise ArtifactError(f"A call may write {MAX_FILES:,} files.", field="path")
            size = sum(each.bytes for each in self._written.values()) - (before.bytes if before else 0)
            if size + len(content) > self._most:
                raise too_much("A task", self._most, "PAVO_ARTIFACTS_TASK_MB")
            staged = self._store.stage(content)
            try:
                beneath.write(self._folder, parts, lambda descriptor: _fill(descriptor, content))
            except BaseException:
                self._store.discard(staged)
                raise
            self._written[path] = staged
            if before is not None:
                self._store.discard(before)

    def read(self, path: str, offset: int = 0, length: int = MAX_READ_BYTES) -> bytes:
        """A part of a file."""
        offset, length = checked_range(offset, length)
        with beneath.reading(self._folder, path_parts(path)) as descriptor:
            return os.pread(descriptor, length, offset)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        with beneath.reading(self._folder, path_parts(path)) as descriptor:
            return os.fstat(descriptor).st_size

    def files(self, under: str = "", most: int = 10_000) -> Sequence[WorkspaceFile]:
        """The files below a folder."""
        found = beneath.files(self._folder, path_parts(under) if under else [], most)
        return [WorkspaceFile(path, size) for path, size in found]

    def end(self) -> Mapping[str, Staged]:
        """The call is over: what it has written, by path; whoever is given it discards it."""
        with self._writing:
            self._over = True
            written, self._written = self._written, {}
            return written


def path_parts(path: str) -> list[str]:
    """The names on a path in the workspace.

    Raises:
        ArtifactError: it is none: absolute, with `..` or what no artifact's name may hold.
    """
    if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance] - a tool's own code
        raise ArtifactError("The path is no text.", field="path")
    return checked_name(f"{WORKSPACE}{path}", own=True).split("/")[1:]


def _fill(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
