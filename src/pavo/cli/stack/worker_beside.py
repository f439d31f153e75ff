"""A worker that begins and ends with the API process, for `pavo api --with-worker`."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from pavo.errors import Unavailable
from pavo.kit.processes import child_dies_with_us

METRICS: Final = "PAVO_METRICS_ADDRESS"
DRAIN_SECONDS: Final = 120.0
"""For its activities to end and what they did to be recorded; longer than a worker takes by itself."""


@contextmanager
def worker_beside(metrics: str | None = None) -> Generator[None]:
    """A worker that is ready when this begins, and is told to end, and waited for, when it is left.

    Until the API has ended it takes work. If it ends before that, this process is told to end too; one that is killed
    takes it along.

    Args:
        metrics: host:port on which it serves its metrics; None: one port above the API's own for metrics, if that has
            one.

    Raises:
        Unavailable: it did not begin, or it has ended by a failure.
    """
    process = _begun(metrics or _above(os.environ.get(METRICS, "")))
    ours = threading.Event()

    def watch() -> None:
        process.wait()
        if not ours.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="worker-beside", daemon=True).start()
    # Who serves HTTP raises the signal that ended it once more, at its end: the worker has yet to end then.
    before = {each: signal.signal(each, _heard) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        ours.set()
        code = _ended(process)
        for number, handler in before.items():
            signal.signal(number, handler)
    if code:
        raise _failed(code)


def _heard(number: int, frame: FrameType | None) -> None:
    """Nothing more: the end has begun."""


def _above(address: str) -> str:
    """The port above; where somebody listens there, the worker takes the next free one."""
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + 1}" if port.isdigit() and 0 < int(port) < 65_535 else address


def _begun(metrics: str) -> "subprocess.Popen[bytes]":
    read, write = os.pipe()
    own = {name: value for name, value in os.environ.items() if name not in (METRICS, "PAVO_TURN_FD")}
    if metrics:
        own[METRICS] = metrics
    process = subprocess.Popen(
        [sys.executable, "-m", "pavo.cli.main", "worker"],
        env={**own, "PAVO_READY_FD": str(write)},
        pass_fds=[write],
        preexec_fn=child_dies_with_us(signal.SIGTERM),
    )
    os.close(write)
    with os.fdopen(read) as said:
        if not any(line == "READY\n" for line in said):
            raise _failed(_ended(process))
    return process


def _ended(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    try:
        return process.wait(DRAIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _failed(code: int) -> Unavailable:
    remedy = "Look at what it said above; pavo worker alone shows the same."
    return Unavailable(f"The worker has ended with code {code}.", dependency="worker", remedy=remedy)
