"""The workspace of a trial: in memory, with the checks of the real one."""

from collections.abc import Mapping, Sequence

from pavo.artifacts.domain import MAX_READ_BYTES, WORKSPACE, checked_media_type, checked_range
from pavo.errors import ArtifactError
from pavo.testing.artifacts import KeptFiles
from pavo.tools.contract import WorkspaceFile
from pavo.tools.workspaces.folder_workspace import path_parts


class MemoryWorkspace:
    """See `tools.contract.Workspace`; of one call."""

    def __init__(self, kept: KeptFiles) -> None:
        self._kept = kept
        self._written: dict[str, bytes] = {}

    def write(self, path: str, data: bytes | str) -> None:
        """Write a file."""
        path_parts(path)
        self._written[path] = data.encode() if isinstance(data, str) else bytes(data)

    def read(self, path: str, offset: int = 0, length: int = MAX_READ_BYTES) -> bytes:
        """A part of a file."""
        offset, length = checked_range(offset, length)
        return self._content(path)[offset : offset + length]

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return len(self._content(path))

    def files(self, under: str = "", most: int = 10_000) -> Sequence[WorkspaceFile]:
        """The files below a folder."""
        if under:
            path_parts(under)
        there = [path for path in sorted(self._all()) if not under or path.startswith(f"{under}/")]
        return [WorkspaceFile(path, self.size(path)) for path in there[:most]]

    def keep(self) -> None:
        """What was written is recorded."""
        for path, content in self._written.items():
            self._kept.keep(f"{WORKSPACE}{path}", checked_media_type(None, path), content)

    def _all(self) -> Mapping[str, bytes]:
        mine = [each for each in self._kept.contents.items() if each[0].startswith(WORKSPACE)]
        kept = {name.removeprefix(WORKSPACE): data for name, data in mine}
        return {**kept, **self._written}

    def _content(self, path: str) -> bytes:
        path_parts(path)
        content = self._all().get(path)
        if content is None:
            raise ArtifactError(f"There is no file {path}.", field="path", remedy="Look at the list of files.")
        return content
