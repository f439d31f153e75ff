"""Where the sockets lie over which git's helper asks for credentials: in one folder of the agent's own.

A socket's path has 107 bytes at most, which the agent's folder may exceed: then it is a folder of the system's for
temporary files, whose name follows from the agent's. Whatever an agent that was killed has left there is removed when
it begins again.
"""

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from pavo.remote.errands.failures import of_system
from pavo.remote.git.disk import remove_tree

PREFIX: Final = "pavo-git-"
_NAME: Final = "s"
_LONGEST: Final = 107
_OF_ONE: Final = len("/xxxxxxxx/s")
"""Characters that a folder of one command's, and the socket in it, add."""


class Sockets:
    """Of one agent.

    Args:
        home: a folder of its own.
    """

    def __init__(self, home: Path) -> None:
        own = home.absolute() / "sockets"
        if len(os.fsencode(own)) + _OF_ONE <= _LONGEST:
            self.folder = own
        else:
            name = f"{PREFIX}{os.getuid()}-{hashlib.sha256(os.fsencode(own)).hexdigest()[:16]}"
            wanted = Path(tempfile.gettempdir()) / name
            fits = len(os.fsencode(wanted)) + _OF_ONE <= _LONGEST
            self.folder = wanted if fits else Path("/tmp") / name

    def make(self) -> Path:
        """A new folder for one socket, which this user alone enters.

        Raises:
            CommandFailed: it cannot be made.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_own(self.folder):  # anybody may make names in /tmp
                return Path(tempfile.mkdtemp(prefix=PREFIX))
            return Path(tempfile.mkdtemp(prefix="", dir=self.folder))
        except OSError as error:
            raise of_system(error, "The socket for git's credentials cannot be made") from error

    @staticmethod
    def place(folder: Path) -> Path:
        """The socket in a folder that `make` made."""
        return folder / _NAME

    def forget(self) -> None:
        """Remove what an earlier life of the agent has left; nobody asks over it any more.

        Raises:
            OSError: something of it stays.
        """
        if _is_own(self.folder):
            remove_tree(self.folder)


def _is_own(folder: Path) -> bool:
    """Whether it is a folder, no link, of this user's, that no other user may enter."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
