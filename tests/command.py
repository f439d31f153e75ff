"""The command `pavo` in the tests' own process: what it prints, and its exit code.

A process of its own costs half a second of computing. Tests need one where the process itself is the matter: a
terminal, a signal, a pipe that closes, what is imported, a part that serves; and beside a running event loop.
"""

import io
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import NoReturn
from unittest.mock import patch

from pavo.cli import main as entry


@dataclass(frozen=True)
class Done:
    """As `subprocess.run` answers it."""

    returncode: int
    stdout: str
    stderr: str


def pavo(words: Sequence[str | bytes], environment: Mapping[str, str] | None = None, *, typed: str = "") -> Done:
    """Run `pavo WORDS` from its entry point on.

    Args:
        words: as the system hands them over; what is no UTF-8 as bytes.
        environment: all of it; without, that of the tests.
        typed: what stands on standard input, which is no terminal.
    """
    out, error = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        patch.dict(os.environ, environment if environment is not None else os.environ, clear=True),
        patch.object(sys, "argv", ["pavo", *(os.fsdecode(word) for word in words)]),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode()), "utf-8")),
        patch.object(entry, "_exit", _leave),  # a command that met Temporal ends its process, which is ours here
        redirect_stdout(out),
        redirect_stderr(error),
        warnings.catch_warnings(),
    ):
        # Meant for tests that forget to hand over words; these are in sys.argv.
        warnings.filterwarnings("ignore", "Cyclopts application invoked without tokens", UserWarning)
        code = 0
        try:
            entry.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(code, _text(out), _text(error))


def _leave(code: int) -> NoReturn:
    raise SystemExit(code)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
