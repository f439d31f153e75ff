"""Archives that `export` writes: files one after the other, and the content of artifacts below `artifacts/`."""

import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO, Any, Final

import orjson
from pydantic import BaseModel

from pavo.artifacts.schemas import ArtifactOut
from pavo.cli.api_client import ApiClient
from pavo.errors import NotFound
from pavo.kit.clock import iso

FORMAT: Final = 1
"""Of the archive; raised when what is in it changes its meaning."""
_IN_MEMORY: Final = 1_000_000


class Archive:
    """An archive whose files are written one after the other."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def begin(self, **of: str) -> None:
        """Say what is in it, and since when."""
        self.value("export.json", {"format": FORMAT, **of, "exported_at": iso(datetime.now(UTC))})

    def value(self, name: str, value: Any) -> None:
        self.pieces(name, [orjson.dumps(value, option=orjson.OPT_INDENT_2)])

    def lines(self, name: str, found: Iterable[BaseModel]) -> int:
        """JSON, a line for each; how many there were."""
        count = 0

        def pieces() -> Iterator[bytes]:
            nonlocal count
            for each in found:
                count += 1
                yield orjson.dumps(each.model_dump(mode="json"), option=orjson.OPT_APPEND_NEWLINE)

        self.pieces(name, pieces())
        return count

    def pieces(self, name: str, pieces: Iterable[bytes]) -> None:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            file.writelines(pieces)
            self.add(name, file)

    def add(self, name: str, file: IO[bytes]) -> None:
        """Add what was written to the file."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = file.tell(), int(time.time()), 0o600
        file.seek(0)
        self._archive.addfile(entry, file)


class Exported(ArtifactOut):
    """An artifact, and what its content is called in the archive."""

    file: str


def with_files(kept: Sequence[ArtifactOut]) -> Iterator[Exported]:
    """Each under its name; but where one is called as a folder of another one, no file system could hold both."""
    folders = {parent.as_posix() for each in kept for parent in PurePosixPath(each.name).parents}
    for each in kept:
        name = f"{each.name}~{each.id}" if each.name in folders else each.name
        yield Exported(**each.model_dump(), file=f"artifacts/{name}")


def brought(archive: Archive, api: ApiClient, of: str, kept: Exported) -> bool:
    """Whether its content is in the archive now: it may have been replaced meanwhile.

    Args:
        of: where the API has whose it is.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        try:
            api.download(f"{of}/artifacts/{kept.id}", file)
        except NotFound:
            return False
        archive.add(kept.file, file)
    return True
