"""Whether the kernel had to kill for lack of memory."""

from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def kills_for_memory() -> int:
    """How many processes the kernel has killed for lack of memory since it booted, in whatever group; 0 where it does
    not tell (other systems than Linux)."""
    try:
        lines = VMSTAT.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
