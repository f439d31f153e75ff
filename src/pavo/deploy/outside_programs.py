"""Other people's programs, called and waited for: Docker, Helm, kubectl. What they say on failure reaches people."""

import subprocess
from collections.abc import Sequence
from itertools import takewhile

from pavo.errors import PavoError

LAST_LINES = 8
Done = subprocess.CompletedProcess[str]


def ask(command: Sequence[str], *, failed: type[PavoError], remedy: str, seconds: float) -> Done:
    """Run a program to its end; whether it succeeded is for the caller to judge.

    Args:
        failed: raised, with the remedy, when it does not end in time.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        name = " ".join(takewhile(lambda word: not word.startswith("-"), command))
        raise failed(f"{name} did not end within {seconds:.0f} s.", remedy=remedy) from error


def last_line(text: str) -> str:
    """The line in which programs tell what went wrong."""
    return (text.strip().splitlines() or ["no reason given"])[-1]


def last_lines(done: Done) -> str:
    """What a program said when it failed: its last lines, else its exit code."""
    return "\n".join(done.stderr.strip().splitlines()[-LAST_LINES:]) or f"exit code {done.returncode}"
