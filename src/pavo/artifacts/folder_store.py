"""Content in a folder that API and workers share.

    ROOT/incoming/ID            being written
    ROOT/ORGANISATION/ab/abcd…  whole: it appears by a rename, and never changes

All of it is this user's alone (0700, 0600).
"""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pavo.artifacts.store import FLAGS, BlobStore, Staged, synchronise, translated
from pavo.errors import Unavailable


class FolderStore(BlobStore):
    """Content below one root."""

    def publish(self, organisation_id: uuid.UUID, staged: Staged) -> None:
        """See `BlobStore.publish`."""
        place = self.place(organisation_id, staged.sha256)
        with translated():
            if not place.parent.is_dir():
                place.parents[1].mkdir(mode=0o700, exist_ok=True)
                place.parent.mkdir(mode=0o700, exist_ok=True)
                synchronise(place.parents[2], os.O_DIRECTORY)
                synchronise(place.parents[1], os.O_DIRECTORY)
            staged.path.replace(place)
            synchronise(place.parent, os.O_DIRECTORY)

    def open(self, organisation_id: uuid.UUID, sha256: str) -> int:
        """See `BlobStore.open`."""
        try:
            return os.open(self.place(organisation_id, sha256), os.O_RDONLY | FLAGS)
        except OSError as error:
            raise Unavailable(
                f"Content {sha256[:12]} is not in {self.root}: {error.strerror}.",
                dependency="artifacts",
                remedy="Give API and workers the same PAVO_ARTIFACTS_FOLDER, or bring back what was removed from it.",
            ) from error

    def remove(self, organisation_id: uuid.UUID, sha256: str) -> None:
        """See `BlobStore.remove`."""
        place = self.place(organisation_id, sha256)
        place.unlink(missing_ok=True)
        for folder in (place.parent, place.parent.parent):
            with suppress(OSError):  # something else is in there
                folder.rmdir()

    def has(self, organisation_id: uuid.UUID, sha256: str) -> bool:
        """See `BlobStore.has`."""
        return self.place(organisation_id, sha256).is_file()

    def contents(self) -> Iterator[tuple[uuid.UUID, Sequence[str]]]:
        """See `BlobStore.contents`: a folder at a time."""
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

    def lay(self, organisation_id: uuid.UUID, sha256: str, target: Path) -> None:
        """See `BlobStore.lay`: a link, where that can be."""
        source = self.place(organisation_id, sha256)
        with translated():
            try:
                os.link(source, target, follow_symlinks=False)
            except OSError:  # another file system, or one without links
                shutil.copyfile(source, target)
                target.chmod(0o600)


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted
    return []
