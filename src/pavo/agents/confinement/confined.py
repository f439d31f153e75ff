"""What an agent's process does to itself before any code of its agent runs for a task."""

import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pavo.agents.confinement.grants import grants
from pavo.agents.confinement.landlock import restrict
from pavo.agents.confinement.users import become

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Confinement:
    """Where an agent's process works, and what it reaches beside."""

    folder: str
    """The task's own: its working folder and its home, with its temporary files below."""
    landlock: bool
    """Whether the kernel keeps it from everything else."""
    readable: tuple[str, ...] = ()
    """Files and folders that the operator lets agents read."""
    writable: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    """Folders that nobody reads by way of what holds them."""
    uid: int | None = None
    """The user that it becomes; None: it stays the worker's."""

    def dump(self) -> dict[str, Any]:
        """For the wire."""
        return asdict(self)

    @classmethod
    def load(cls, data: dict[str, Any]) -> "Confinement":
        """What `dump` made."""
        lists = {name: tuple(data[name]) for name in ("readable", "writable", "private")}
        return cls(folder=data["folder"], landlock=data["landlock"], uid=data["uid"], **lists)

    @property
    def temporary(self) -> str:
        """The folder of its temporary files."""
        return f"{self.folder}/tmp"

    def enter(self, path: Sequence[str]) -> None:
        """Confine this process, which has one thread, for ever.

        Args:
            path: the worker's `sys.path`.

        Raises:
            OSError: the folder is gone or closed to the user, or the kernel refuses.
        """
        lists = {"given": self.readable, "writable": self.writable, "private": self.private}
        # Before the change of folder: entries of the path may be relative to the one before.
        reachable = list(grants(Path(self.folder), path, **lists)) if self.landlock else []
        if self.uid is not None:
            become(self.uid)
        os.chdir(self.folder)
        with suppress(FileExistsError):
            os.mkdir("tmp", 0o700)  # noqa: PTH102 - without an object for what runs once
        os.environ.update(HOME=self.folder, TMPDIR=self.temporary, PWD=self.folder)
        tempfile.tempdir = None  # the process may have looked for it before
        if self.landlock:
            restrict(reachable)
