"""A process that is kept to answer requests, one after the other, and is ended when an answer takes too long: what a
request does to it is nobody else's harm."""

import os
import select
import subprocess
import sys
import threading
import time
from typing import Final

BEGIN_SECONDS: Final = 30.0
"""For the process to begin, on a machine that is busy."""
_PIPE_BYTES: Final = 65_536
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "HOME", "TMPDIR")
"""Of the environment: what a stranger's text is read by gets no secrets of Pavo's."""


class TooSlow(Exception):
    """An answer took longer than it may; the process is ended."""


class Ended(Exception):
    """The process ended without an answer, or told more than it may."""


class KeptProcess:
    """Begun when it is first needed, and anew after one that has ended. May be shared by threads, which take turns;
    calls block.

    Args:
        module: run by `python -m`; it answers each request with one line, and ends with its standard input.
        first: a request that it is sent at its beginning.
        seconds: that an answer may take.
        answer_bytes: that one may have.
    """

    def __init__(self, module: str, first: bytes, *, seconds: float, answer_bytes: int) -> None:
        self._module, self._first = module, first
        self._seconds, self._answer_bytes = seconds, answer_bytes
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    def ask(self, request: bytes) -> bytes:
        """The line that it answers.

        Raises:
            TooSlow: it took too long.
            Ended: the request has ended it. Asking once more would end the next one.
        """
        with self._turn:
            if self._closed:
                raise Ended
            try:
                return self._answered(self._begun(), request, self._seconds)
            except OSError as error:
                self._end()
                raise Ended from error
            except BaseException:
                self._end()
                raise

    def close(self) -> None:
        """End it for good; who waits for an answer gets none."""
        self._closed = True
        if (child := self._child) is not None:
            child.kill()
        with self._turn:
            self._end()

    def _begun(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        command = [sys.executable, "-I", "-m", self._module]
        given = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._child = child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=given
        )
        assert child.stdin is not None
        os.set_blocking(child.stdin.fileno(), False)
        self._answered(child, self._first, BEGIN_SECONDS)
        return child

    def _answered(self, child: subprocess.Popen[bytes], request: bytes, seconds: float) -> bytes:
        assert child.stdin is not None and child.stdout is not None
        until = time.monotonic() + seconds
        _write(child.stdin.fileno(), request, until)
        return _line(child.stdout.fileno(), until, self._answer_bytes)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _wait(file: int, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(file, event)
    if not poll.poll(max(until - time.monotonic(), 0) * 1000):
        raise TooSlow


def _write(file: int, data: bytes, until: float) -> None:
    left = memoryview(data)
    while left:
        _wait(file, select.POLLOUT, until)
        left = left[os.write(file, left[:_PIPE_BYTES]) :]


def _line(file: int, until: float, most: int) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        _wait(file, select.POLLIN, until)
        read = os.read(file, _PIPE_BYTES)
        answer += read
        if not read or len(answer) > most:
            raise Ended
    return bytes(answer)
