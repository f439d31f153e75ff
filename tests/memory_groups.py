"""A group of processes with little memory, in which the kernel really kills (cgroups, as root)."""

import uuid
from pathlib import Path

from tests.driving import until

_GROUPS = Path("/sys/fs/cgroup")
_FIRST = _GROUPS / "memory"
"""Of the first version of cgroups."""


class MemoryGroup:
    """One such group."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, pid: int = 0) -> None:
        """Put a process into it, without those that it has started; 0: this one."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    @property
    def kills(self) -> int:
        """How many the kernel has killed in it."""
        name = "memory.oom_control" if _FIRST in self.folder.parents else "memory.events"
        lines = (self.folder / name).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    async def remove(self) -> None:
        """When its last process has ended."""

        async def gone() -> bool:
            try:
                self.folder.rmdir()
            except OSError:
                return False
            return True

        await until(gone, what="the end of a memory group")


def memory_group(mebibytes: int) -> MemoryGroup | None:
    """A group with so much memory and no swap; None where this process may make none."""
    name, limit = f"pavo-test-{uuid.uuid4().hex[:8]}", str(mebibytes * 1024 * 1024)
    limits = {"memory.limit_in_bytes": limit, "memory.memsw.limit_in_bytes": limit}
    parent = _FIRST
    if not _FIRST.is_dir():
        limits, parent = {"memory.max": limit, "memory.swap.max": "0"}, _GROUPS
    folder = parent / name
    try:
        folder.mkdir()
    except OSError:
        return None
    try:
        for file, value in limits.items():
            if (folder / file).exists() or ("swap" not in file and "memsw" not in file):
                (folder / file).write_text(value)
    except OSError:
        folder.rmdir()
        return None
    return MemoryGroup(folder)
