"""Tasks' folders on this machine: made for an attempt, kept for the next one, removed with the task."""

import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_MODE = 0o700


def default_root(data_dir: Path | None) -> Path:
    """Where tasks' folders are, unless a setting says so: in the deployment's data directory, else a temporary one."""
    return data_dir / "agents" if data_dir else Path(tempfile.gettempdir()) / f"pavo-agents-{os.geteuid()}"


class TaskFolders:
    """The folders below one root, which several workers of this machine may share.

    Args:
        root: made at the first use.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def make(self, task_id: uuid.UUID) -> Path:
        """The task's folder, as its former attempts left it.

        Raises:
            OSError: there is no room for it, or somebody else has made the root.
        """
        self.require_root()
        folder = self.root / str(task_id)
        for each in (folder, folder / "tmp"):
            _make(each)
        return folder

    def require_root(self) -> None:
        """Make the root, if there is none.

        Raises:
            OSError: it cannot be made, or belongs to somebody else, who could exchange what is in it.
        """
        self.root.parent.mkdir(parents=True, exist_ok=True)
        _make(self.root)

    def leave(self, task_id: uuid.UUID) -> None:
        """Remove the folder if its agent has left nothing there."""
        folder = self.root / str(task_id)
        for each in (folder / "tmp", folder):
            with suppress(OSError):
                each.rmdir()

    def tasks(self) -> Sequence[uuid.UUID]:
        """Those that have a folder here."""
        found: list[uuid.UUID] = []
        with suppress(OSError):
            for name in os.listdir(self.root):  # noqa: PTH208 - names are wanted
                with suppress(ValueError):
                    found.append(uuid.UUID(name))
        return found

    def remove(self, task_id: uuid.UUID) -> bool:
        """Remove a folder with all that is in it; whether it is gone."""
        folder = self.root / str(task_id)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            _open_up(folder)
            shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()


def _make(folder: Path) -> None:
    """A folder of this user's alone.

    Raises:
        OSError: what is there is no folder, or somebody else's.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=_MODE)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a folder of this user's")
    if stat.S_IMODE(found.st_mode) != _MODE:
        folder.chmod(_MODE)


def _open_up(folder: Path) -> None:
    """Have the folders below be removable: an agent may have taken its own rights away."""
    with suppress(OSError):
        folder.chmod(_MODE)
    for where, names, _ in os.walk(folder):
        for name in names:
            below = Path(where, name)
            if not below.is_symlink():
                with suppress(OSError):
                    below.chmod(_MODE)
