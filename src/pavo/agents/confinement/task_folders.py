"""Tasks' folders on this machine: made for an attempt, kept for the next one, removed with the task."""

import hashlib
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MODE: Final = 0o700
_PASSABLE: Final = 0o711
"""Of a root in which each folder has a user of its own: they pass it, and do not see what it holds."""
_USERS: Final = ".users"
"""Folder of links, from a user's number to the task that has it: no other task gets it."""
_APART: Final = Path("/var/lib/pavo/agents")


def default_root(data_dir: Path | None, *, apart: bool = False) -> Path:
    """Where tasks' folders are, unless a setting says so: in the deployment's data directory, else a temporary one.

    Args:
        apart: each has a user of its own, who cannot pass a data directory: it gets a place beside it.
    """
    if data_dir is None:
        return Path(tempfile.gettempdir()) / f"pavo-agents-{os.geteuid()}"
    return place_apart(data_dir) if apart else data_dir / "agents"


def place_apart(data_dir: Path) -> Path:
    """Where the folders of a deployment are that lie outside of its data directory."""
    return _APART / hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]


class TaskFolders:
    """The folders below one root, which several workers of this machine may share.

    Args:
        root: made at the first use.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def make(self, task_id: uuid.UUID, uids: range | None = None) -> Path:
        """The task's folder, as its former attempts left it; empty where they were another user's.

        Args:
            uids: it belongs to one of these users, and no other task's does; None: to the worker's. Who makes one for
                others is root.

        Raises:
            OSError: there is no room for it, or somebody else has made the root.
        """
        self.require_root(passable=uids is not None)
        folder = self.root / str(task_id)
        owner = _owner(folder)
        if owner is not None and not os.geteuid() and owner not in (uids or (0,)):
            self.remove(task_id)  # of a worker that confined otherwise
            owner = None
        if uids is None:
            _make(folder)
        elif owner is None:
            self._make_for(task_id, uids)
        else:
            folder.chmod(_MODE)
        return folder

    def require_root(self, *, passable: bool = False) -> None:
        """Make the root, if there is none.

        Args:
            passable: other users get to what they have in it.

        Raises:
            OSError: it cannot be made, or belongs to somebody else, who could exchange what is in it.
        """
        for each in reversed([parent for parent in self.root.parents if not parent.exists()]):
            each.mkdir(exist_ok=True)
            if passable:
                each.chmod(0o755)
        # A worker that confines otherwise may have made it passable, and goes on to need that.
        _make(self.root, *((_PASSABLE,) if passable else (_MODE, _PASSABLE)))

    def leave(self, task_id: uuid.UUID) -> None:
        """Remove the folder if its agent has left nothing there."""
        folder = self.root / str(task_id)
        owner = _owner(folder)
        with suppress(OSError):
            (folder / "tmp").rmdir()
        with suppress(OSError):
            folder.rmdir()
            self._free(owner, task_id)

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
        owner = _owner(folder)
        shutil.rmtree(folder, ignore_errors=True)
        # Root needs no rights in there; and of one whose agent still runs, it would change whatever that puts in place.
        if folder.exists() and os.geteuid():
            _open_up(folder)
            shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            return False
        self._free(owner, task_id)
        return True

    def _make_for(self, task_id: uuid.UUID, uids: range) -> None:
        """Make it as another user's; it is there when it is complete."""
        uid = self._user_of(task_id, uids)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
        os.chown(draft, uid, uid)
        try:
            draft.rename(self.root / str(task_id))
        except OSError:  # another worker was first; it found the same user
            draft.rmdir()

    def _user_of(self, task_id: uuid.UUID, uids: range) -> int:
        links = self.root / _USERS
        _make(links)
        for turn in range(len(uids)):
            uid = uids[(task_id.int + turn) % len(uids)]
            link = links / str(uid)
            try:
                link.symlink_to(str(task_id))
            except FileExistsError:
                if str(link.readlink()) != str(task_id):
                    continue
            return uid
        raise OSError(f"All {len(uids)} users of PAVO_AGENT_UIDS have a folder in {self.root}")

    def _free(self, uid: int | None, task_id: uuid.UUID) -> None:
        """The user of a folder that is gone may be another task's."""
        link = self.root / _USERS / str(uid)
        with suppress(OSError):
            if str(link.readlink()) == str(task_id):
                link.unlink()


def _owner(folder: Path) -> int | None:
    try:
        return folder.lstat().st_uid
    except FileNotFoundError:
        return None


def _make(folder: Path, *modes: int) -> None:
    """A folder of this user's alone; of these modes the first, where it has none of them.

    Raises:
        OSError: what is there is no folder, or somebody else's.
    """
    modes = modes or (_MODE,)
    with suppress(FileExistsError):
        folder.mkdir(mode=modes[0])
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a folder of this user's")
    if stat.S_IMODE(found.st_mode) not in modes:
        folder.chmod(modes[0])


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
