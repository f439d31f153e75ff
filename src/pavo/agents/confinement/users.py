"""A user of its own for each task's agent, where the worker is root: the kernel closes to it what is not open to all.

Only numbers: no account is made. The group has the same number, and there is no other.
"""

import ctypes
import os
import signal
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pavo.agents.confinement.landlock import give_up_privileges
from pavo.kit.processes import ask_for_parents_end

UIDS: Final = range(1_900_000_000, 2_000_000_000)
"""Numbers that no distribution gives to accounts, containers or services (https://systemd.io/UIDS-GIDS), nor
/etc/subuid: so many that tasks seldom ask for the same one."""
NAME: Final = "pavo-agent"
"""What programs are told that such a user is called: no list of accounts knows it."""
_SET_DUMPABLE: Final = 4
_CAPABILITIES: Final = struct.pack("Ii", 0x20080522, 0)
"""capset(2), version 3, of this very thread."""


def users_problem(uids: range, places: Iterable[Path]) -> str:
    """Why agents cannot run as users of their own, as far as that shows without trying; empty where nothing does.

    Args:
        uids: theirs.
        places: what such a user must reach beside the interpreter, there or not.
    """
    if sys.platform != "linux" or os.geteuid():
        return "the worker is not root"
    if not _mapped(uids):
        return f"this container has no users {uids.start} to {uids[-1]} (PAVO_AGENT_UIDS)"
    for place in (Path(sys.executable), Path(os.path.realpath(sys.executable)), *places):
        closed = _closed_above(place)
        if closed is not None:
            return f"{closed} is closed to other users, and {place} lies in it"
    return ""


def _mapped(uids: range) -> bool:
    """Whether this user namespace has them; see user_namespaces(7)."""
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return True
    spans = [(int(first), int(count)) for first, _, count in (line.split() for line in lines)]
    return any(first <= uids.start and uids[-1] < first + count for first, count in spans)


def _closed_above(place: Path) -> Path | None:
    for parent in reversed(place.parents):
        with suppress(OSError):
            if not parent.stat().st_mode & stat.S_IXOTH:
                return parent
    return None


def become(uid: int) -> None:
    """Be this user for ever, without groups, capabilities and new privileges; there must be no other thread.

    Raises:
        OSError: the kernel refuses, or the process that started this one has ended.
    """
    parent = os.getppid()
    for descriptor in (1, 2):  # which programs open anew as /dev/stdout
        with suppress(OSError):
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.fchown(descriptor, uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(_CAPABILITIES, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")
    # Both are forgotten with the change of the user. A process that may not be dumped cannot read its own /proc.
    libc.prctl(_SET_DUMPABLE, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    ask_for_parents_end(signal.SIGTERM)
    if os.getppid() != parent:
        raise ProcessLookupError("The process that started this one has ended.")
    give_up_privileges()
    os.environ.update(USER=NAME, LOGNAME=NAME)
