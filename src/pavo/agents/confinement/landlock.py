"""Landlock, by which a process gives up rights over files for itself and all that it starts (Linux 5.13 and later).

See https://docs.kernel.org/userspace-api/landlock.html. No privileges are needed; nothing can be taken back.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
"""Numbers of system calls, the same on every architecture."""
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NO_NEW_PRIVS: Final = 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_SCOPES: Final = 3
"""Abstract UNIX sockets and signals, to processes that are not confined alike."""
_SCOPE_SIGNALS: Final = 2
_MISSING: Final = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
"""An older kernel, one started without Landlock, a container that forbids it."""

LIST: Final = _READ_DIR
"""The names in a folder, and in those below it."""
READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
DEVICE: Final = _READ_FILE | _WRITE_FILE | _IOCTL_DEV
WRITE: Final = (1 << 16) - 1
"""Everything."""


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


def version() -> int:
    """Of Landlock's interface in this kernel; 0 where there is none.

    Raises:
        OSError: the kernel does not tell.
    """
    if sys.platform != "linux":
        return 0
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except OSError as error:
        if error.errno in _MISSING:
            return 0
        raise


def restrict(grants: Iterable[tuple[Path, int]]) -> None:
    """Leave this thread, and what it starts from now on, these rights over files; there must be no other thread.

    What is not there is left out. Where a path is a link, what it leads to is meant.

    Raises:
        OSError: the kernel refuses; nothing is restricted then.
    """
    found = version()
    handled = _handled(found)
    attributes = struct.pack("QQQ", handled, 0, _SCOPES if found >= 6 else 0)[: 24 if found >= 6 else 16]
    if found < 4:
        attributes = attributes[:8]
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for path, rights in grants:
            _allow(ruleset, path, rights & handled)
        give_up_privileges()
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def keep_from_parents() -> None:
    """Keep this thread, and what it starts from now on, from signals to all that is not started by it, and from looking
    into it (Linux 6.12 and later; before, nothing happens). There must be no other thread.

    Raises:
        OSError: the kernel refuses; nothing is restricted then.
    """
    if version() < 6:
        return
    attributes = struct.pack("QQQ", 0, 0, _SCOPE_SIGNALS)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        give_up_privileges()
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _handled(found: int) -> int:
    """The rights that this version knows: one more came with 2 (rename elsewhere), 3 (truncate) and 5 (ioctl)."""
    known = 13 + (found >= 2) + (found >= 3)
    return (1 << known) - 1 | (_IOCTL_DEV if found >= 5 else 0)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
        if rights:
            rule = struct.pack("=Qi", rights, descriptor)
            _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def give_up_privileges() -> None:
    """No program that it starts has more rights than itself; without that the kernel takes no restriction."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
