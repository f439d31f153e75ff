"""Processes of the bench: started in groups of their own, metered from /proc, ended with all their descendants."""

import asyncio
import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Usage:
    """What a set of processes has used so far."""

    cpu: float
    """Seconds of CPU, user and system, of living processes and of those they waited for."""
    memory_mb: float
    """Resident memory; of PostgreSQL without its shared buffers."""


def tree(roots: Sequence[int]) -> set[int]:
    """The processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found and Path(f"/proc/{pid}").exists():
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def usage(roots: Sequence[int]) -> Usage:
    """Read /proc for these processes and their descendants."""
    cpu = memory = 0.0
    for pid in tree(roots):
        stat = _stat(pid)
        if stat is None:
            continue
        cpu += sum(int(field) for field in stat[11:15]) / _TICK
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/statm").read_text().split()
            memory += (int(fields[1]) - int(fields[2])) * _PAGE_KB / 1024
    return Usage(cpu, memory)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat after the command's name: [0] state, [1] parent, [11:15] CPU ticks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def script(name: str) -> str:
    """A command that was installed beside the running Python."""
    return str(Path(sys.executable).with_name(name))


class Group:
    """Child processes and a scratch folder that end together."""

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"pavo-bench-{name}-"))
        self.folder.chmod(0o711)  # PostgreSQL's own user walks through it: its data are in there, and go with it
        self._processes: list[tuple[subprocess.Popen[bytes], float]] = []

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        grace: float = 5.0,
        log: str | None = None,
    ) -> int:
        """Start a process in a session of its own; its output goes to a file. Answers its pid."""
        name = log or Path(command[0]).name
        with (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append((process, grace))
        return process.pid

    @property
    def pids(self) -> list[int]:
        """The processes that were started here and live."""
        return [process.pid for process, _ in self._processes if process.poll() is None]

    def usage(self) -> Usage:
        """What all of them have used."""
        return usage(self.pids)

    def kill(self, pid: int) -> None:
        """SIGKILL one of them, with its session, and reap it."""
        process = next(process for process, _ in self._processes if process.pid == pid)
        _signal_group(pid, signal.SIGKILL)
        process.wait()

    def logs(self, lines: int = 15) -> str:
        """The ends of all logs, for error messages."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            for path in sorted(self.folder.rglob("*.log"))
        )

    def close(self) -> None:
        """End everything, newest first: SIGTERM, and SIGKILL after each one's grace; remove the folder."""
        for process, grace in reversed(self._processes):
            family = tree([process.pid])
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(grace)
            _signal_group(process.pid, signal.SIGKILL)
            for pid in family - {process.pid}:
                _kill_orphan(pid, family)
            process.wait()
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _kill_orphan(pid: int, family: set[int]) -> None:
    """Kill what outlived its parent; a pid whose parent is neither of the family nor init is somebody else's."""
    stat = _stat(pid)
    if stat is not None and stat[0] != "Z" and int(stat[1]) in {1, *family}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def group(name: str) -> Iterator[Group]:
    """A group for the length of a block."""
    made = Group(name)
    try:
        yield made
    finally:
        made.close()


async def until(condition: Callable[[], object], *, seconds: float, what: str, logs: Group | None = None) -> None:
    """Wait for a condition; RuntimeError with the logs when it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not happen within {seconds:g} s\n{logs.logs() if logs else ''}")
        await asyncio.sleep(0.01)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of the loopback address."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    load = Path("/proc/loadavg").read_text().split()[0]
    return {
        "cpu": f"{os.cpu_count()} × {cpu}",
        "memory": f"{memory:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
        "load before": load,
    }
