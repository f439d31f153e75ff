"""Tasks' folders on this machine: made for an attempt, kept for the next one, removed with the task."""

import fcntl
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
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
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
        self._held: dict[uuid.UUID, list[int]] = {}
        """By task a descriptor for each attempt here that uses its folder, with a shared lock."""

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

    def hold(self, task_id: uuid.UUID, uids: range | None = None) -> Path:
        """`make`, and keep the folder from going for as long as an attempt uses it; `leave` ends that.

        Raises:
            OSError: as `make`.
        """
        while True:
            folder = self.make(task_id, uids)
            try:
                descriptor = os.open(self.root / str(task_id), _FOLDER)
            except FileNotFoundError:
                continue  # another attempt has just left it
            with suppress(OSError):  # a file system without locks: then nobody removes it either
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_at(descriptor, self.root / str(task_id)):
                self._held.setdefault(task_id, []).append(descriptor)
                return folder
            os.close(descriptor)

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
        """End what `hold` began; and remove the folder if its agent has left nothing there, and no other attempt of
        this machine uses it: a process would work in a folder that is gone."""
        held = self._held.get(task_id, [])
        if held:
            os.close(held.pop())
        if not held:
            self._held.pop(task_id, None)
        folder = self.root / str(task_id)
        with suppress(OSError):
            descriptor = os.open(folder, _FOLDER)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._remove_empty(folder, task_id)
            finally:
                os.close(descriptor)

    def _remove_empty(self, folder: Path, task_id: uuid.UUID) -> None:
        owner = _owner(folder)
        with suppress(OSError):
            (folder / "tmp").rmdir()
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
        # Root needs no rights in there; and of one whose agent still runs, it would change whatever that puts in place.
        for prepare in (None, *((_open_up,) if os.geteuid() else ()), _flatten):
            with suppress(OSError, RecursionError):
                if prepare is not None:
                    prepare(folder)
                shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
        else:
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


def _is_at(descriptor: int, folder: Path) -> bool:
    """Whether the open folder is still the one of this path."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), folder.lstat())
    return False


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


def _flatten(folder: Path) -> None:
    """Have all folders below lie right in it: an agent may have nested them deeper than Python recurses, and than a
    path may be long. By descriptors: a process that it has left behind may exchange a folder for a link meanwhile."""
    top = os.open(folder, _FOLDER)
    try:
        left = _folders_in(top)
        while left:
            with suppress(OSError):
                left += _moved_up(left.pop(), top)
    finally:
        os.close(top)


def _moved_up(name: str, top: int) -> list[str]:
    """Move the folders in this one next to it; their new names."""
    moved: list[str] = []
    _permit(name, top)
    here = os.open(name, _FOLDER, dir_fd=top)
    try:
        for each in _folders_in(here):
            with suppress(OSError):
                _permit(each, here)
                new = str(uuid.uuid4())
                os.rename(each, new, src_dir_fd=here, dst_dir_fd=top)
                moved.append(new)
    finally:
        os.close(here)
    return moved


def _folders_in(descriptor: int) -> list[str]:
    with os.scandir(descriptor) as entries:
        return [each.name for each in entries if each.is_dir(follow_symlinks=False)]


def _permit(name: str, descriptor: int) -> None:
    """Give this user all rights over a folder, never over what a link leads to; Linux alone."""
    with suppress(OSError, AttributeError):
        found = os.open(name, os.O_PATH | _FOLDER, dir_fd=descriptor)
        try:
            os.chmod(f"/proc/self/fd/{found}", _MODE)  # noqa: PTH101 - the descriptor itself, not a path
        finally:
            os.close(found)
