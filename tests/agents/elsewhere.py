"""Systems other than this one: without Landlock, or with an interpreter that all users reach."""

import ctypes
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_MOUNTS = """
set -e
mkdir "$1"
mount --bind "$2" "$1"
mount -t tmpfs -o mode=755 tmpfs "$3"
mkdir -p "$2"
mount --bind "$1" "$2"
shift 3
exec "$@"
"""
"""Puts another folder in place of the one that is closed, with nothing in it but what is needed; seen by the command
alone."""


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def without_landlock() -> None:
    """In a child: have the kernel answer ENOSYS to landlock_create_ruleset, as an older one does (seccomp)."""
    load, jump, answer = 0x20, 0x15, 0x06
    code = [(load, 0, 0, 0), (jump, 0, 1, 444), (answer, 0, 0, 0x00050000 | 38), (answer, 0, 0, 0x7FFF0000)]
    data = b"".join(struct.pack("HBBI", *each) for each in code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(_Filter(len(code), data)), 0, 0):
        os._exit(77)


def open_to_all(scratch: Path, command: Sequence[str]) -> list[str]:
    """The command, with an interpreter that all users reach; as root.

    Args:
        scratch: a folder that all users reach.
    """
    interpreter = Path(os.path.realpath(sys.executable))
    parents = [*reversed(interpreter.parents)]
    closed = next((each for each in parents if not each.stat().st_mode & stat.S_IXOTH), None)
    if closed is None:
        return list(command)
    needed = parents[parents.index(closed) + 1]
    return ["unshare", "--mount", "sh", "-c", _MOUNTS, "sh", str(scratch / "kept"), str(needed), str(closed), *command]


def mounts_possible() -> bool:
    """Whether this process may make itself other mounts."""
    if sys.platform != "linux" or os.geteuid():
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
