"""Evaluating expressions in a process that can be ended: what they do to it is nobody else's harm."""

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

SECONDS: Final = 1.0
"""For one expression; those of flows take well below a millisecond."""
BEGIN_SECONDS: Final = 30.0
"""For the process to begin, on a machine that is busy."""
MAX_ANSWER_BYTES: Final = 1_100_000
_KEPT_PIPE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One expression, and what it is given."""

    source: str
    context: Mapping[str, Any]
    """See `context.context_of`."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of it."""

    value: Any = None
    """As JSON."""
    error: str | None = None
    """For people; the value means nothing then."""


class Evaluator:
    """One process, begun when it is first needed. May be shared by threads, which take turns; calls block.

    Args:
        seconds: that one expression may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def evaluate(self, asked: Sequence[Evaluation]) -> list[Evaluated]:
        """What each gives, or why it gives nothing."""
        return [self._ask({"source": each.source, "context": each.context}) for each in asked]

    def wrong(self, sources: Sequence[str]) -> list[str | None]:
        """What keeps each from being compiled; None: nothing."""
        return [self._ask({"source": each}).error for each in sources]

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end()

    def _ask(self, request: Mapping[str, Any]) -> Evaluated:
        line = orjson.dumps(request) + b"\n"
        with self._turn:
            try:
                return self._answered(line)
            except _TooSlow:
                self._end()
                return Evaluated(error=f"it took longer than {self._seconds:g} s")
            except (OSError, ValueError, EOFError):
                # What it was asked has ended it. Asking once more would end the next one.
                self._end()
                return Evaluated(error="it takes more time or memory than it may")
            except BaseException:
                self._end()
                raise

    def _answered(self, line: bytes) -> Evaluated:
        child = self._begun()
        assert child.stdin is not None and child.stdout is not None
        _write(child.stdin.fileno(), line, time.monotonic() + self._seconds)
        answer = _line(child.stdout.fileno(), time.monotonic() + self._seconds)
        found = cast(dict[str, Any], orjson.loads(answer))
        return Evaluated(found.get("value"), found.get("error"))

    def _begun(self) -> subprocess.Popen[bytes]:
        """The process, which has answered."""
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        command = [sys.executable, "-I", "-m", "pavo.flows.expressions.child"]
        self._child = child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert child.stdin is not None and child.stdout is not None
        os.set_blocking(child.stdin.fileno(), False)
        _write(child.stdin.fileno(), b'{"source":"1"}\n', time.monotonic() + BEGIN_SECONDS)
        _line(child.stdout.fileno(), time.monotonic() + BEGIN_SECONDS)
        return child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


class _TooSlow(Exception):
    pass


def _wait(file: int, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(file, event)
    if not poll.poll(max(until - time.monotonic(), 0) * 1000):
        raise _TooSlow


def _write(file: int, data: bytes, until: float) -> None:
    while data:
        _wait(file, select.POLLOUT, until)
        data = data[os.write(file, data[:_KEPT_PIPE]) :]


def _line(file: int, until: float) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        _wait(file, select.POLLIN, until)
        read = os.read(file, _KEPT_PIPE)
        if not read:
            raise EOFError
        answer += read
        if len(answer) > MAX_ANSWER_BYTES:
            raise ValueError
    return bytes(answer)
