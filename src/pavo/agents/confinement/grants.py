"""What a confined agent may read beside its task's folder: the interpreter, packages, and what the system has for all.

Never the data directory of a deployment, nor other tasks' folders, whatever holds them.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pavo.agents.confinement.landlock import DEVICE, LIST, READ, WRITE

Grant = tuple[Path, int]

_SYSTEM: Final = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/crypto-policies"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/hostname"),
    *("/etc/services", "/etc/protocols", "/etc/localtime", "/etc/timezone", "/etc/passwd", "/etc/group"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/fonts"),
    *("/etc/mime.types", "/etc/os-release", "/etc/gitconfig", "/etc/locale.conf", "/etc/default/locale"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version"),
    *("/proc/filesystems", "/sys/devices/system/cpu", "/sys/fs/cgroup"),
)
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CODE: Final = (".py", ".pyc", ".so", ".zip", ".pth", ".dist-info", ".egg-info")
_BROAD: Final = frozenset(
    Path(f"/{name}")
    for name in ("", "home", "root", "etc", "var", "tmp", "run", "srv", "mnt", "media", "opt", "dev", "boot", "proc")
)
"""Folders that hold more than code."""


def grants(
    folder: Path, path: Sequence[str], *, given: Sequence[str], writable: Sequence[str], private: Sequence[str]
) -> Iterator[Grant]:
    """All that a confined process may reach.

    Args:
        folder: the task's own.
        path: the worker's `sys.path`.
        given: files and folders that the operator lets agents read.
        writable: those that agents may write as well.
        private: folders that nobody reads by way of what holds them.
    """
    hidden = [_real(each) for each in private]
    for each in (*_SYSTEM, *(os.environ[name] for name in _CERTIFICATES if os.environ.get(name))):
        yield from _readable(Path(each), hidden)
    for each in dict.fromkeys((sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)):
        yield from _code(_real(each), hidden)
    yield from _readable(_real(sys.executable), hidden)
    for each in dict.fromkeys((*path, *_editable())):
        yield from _code(_real(each or "."), hidden)
    yield from ((Path(each), READ) for each in given)
    yield from ((Path(each), WRITE) for each in (*writable, folder))
    yield from ((Path(each), DEVICE) for each in _DEVICES)


def _editable() -> list[str]:
    """Where packages lie that are imported from elsewhere than `sys.path`, as editable installs may be."""
    found: list[str] = []
    for name, module in list(sys.modules.items()):
        if "." not in name:
            with suppress(Exception):  # modules may be anything
                found.extend(str(each) for each in getattr(module, "__path__", ()) if Path(str(each)).is_dir())
    return found


def _real(path: str) -> Path:
    return Path(os.path.realpath(path))


def _holds_private(path: Path, hidden: Sequence[Path]) -> bool:
    return any(path in each.parents for each in hidden)


def _readable(path: Path, hidden: Sequence[Path]) -> Iterator[Grant]:
    """The path; of a folder that holds a private one, everything else."""
    real = _real(str(path))
    if real in hidden:
        return
    if not _holds_private(real, hidden):
        yield path, READ
        return
    for each in _entries(real):
        yield from _readable(each, hidden)


def _code(path: Path, hidden: Sequence[Path]) -> Iterator[Grant]:
    """A folder of code. Of one that holds more than that, such as the folder that a worker was started in, the code."""
    if path in hidden:
        return
    broad = path in _BROAD or path in (_real("."), _real(os.path.expanduser("~")))  # noqa: PTH111 - raises nothing
    if _is_file(path) or (not broad and not _holds_private(path, hidden)):
        yield path, READ
        return
    for each in _entries(path):
        if each.suffix in _CODE or _is_file(each / "__init__.py"):
            yield from _code(each, hidden)
    yield path, LIST


def _is_file(path: Path) -> bool:
    """Whether it is one; also where it lies in a folder that this user may not look into."""
    return os.path.isfile(path)  # noqa: PTH113 - raises nothing


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, without links: what they lead to was not looked at."""
    with suppress(OSError):
        return [each for each in folder.iterdir() if not each.is_symlink()]
    return []
