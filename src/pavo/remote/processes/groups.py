"""A control group of its own for a program, where this user may make one: then its whole tree is killed by one write.

See https://docs.kernel.org/admin-guide/cgroup-v2.html, "cgroup.kill" (Linux 5.14 and later).
"""

import contextlib
import os
import re
import time
from pathlib import Path
from typing import Final

_PREFIX: Final = "pavo-"
_SECONDS: Final = 1.0
"""For a group to become empty."""


def _own_group() -> Path | None:
    """The folder of this process's group of version 2; None where there is none."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    mount = next((fields[1] for fields in map(str.split, mounts) if fields[2] == "cgroup2"), None)
    within = next((line.removeprefix("0::") for line in groups if line.startswith("0::")), None)
    if mount is None or within is None:
        return None
    return Path(mount) / within.lstrip("/")


def _name(mark: str) -> str:
    return _PREFIX + re.sub(r"[^A-Za-z0-9.-]", "-", mark)[:200]


class ControlGroup:
    """One that was made."""

    def __init__(self, place: Path) -> None:
        self._place = place

    @classmethod
    def make(cls, mark: str) -> "ControlGroup | None":
        """None where that is not to be had."""
        own = _own_group()
        if own is None:
            return None
        place = own / _name(mark)
        try:
            place.mkdir(exist_ok=True)
        except OSError:
            return None
        if os.access(place / "cgroup.kill", os.W_OK) and os.access(place / "cgroup.procs", os.W_OK):
            return cls(place)
        with contextlib.suppress(OSError):
            place.rmdir()
        return None

    def enter(self) -> None:
        """Put this process into it."""
        (self._place / "cgroup.procs").write_text("0")

    def members(self) -> set[int]:
        """Pids of whoever is in it."""
        with contextlib.suppress(OSError, ValueError):
            return {int(line) for line in (self._place / "cgroup.procs").read_text().split()}
        return set()

    def kill(self) -> None:
        """Kill whoever is in it."""
        with contextlib.suppress(OSError):
            (self._place / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Give it back, once it is empty."""
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            try:
                self._place.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.005)
            else:
                return


def end_group(mark: str) -> None:
    """Kill and remove the group of a program whose supervisor is gone, if there is one."""
    own = _own_group()
    if own is not None and (place := own / _name(mark)).is_dir():
        group = ControlGroup(place)
        group.kill()
        group.remove()
