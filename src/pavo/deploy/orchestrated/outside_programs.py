"""Other people's programs, called and waited for: Docker, Helm, kubectl. What they say on failure reaches people."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile

from pavo.errors import PavoError

LAST_LINES = 8
Done = subprocess.CompletedProcess[str]
Show = Callable[[str, str], None]
"""Told a log line's part and text."""


def ask(
    command: Sequence[str],
    *,
    failed: type[PavoError],
    remedy: str,
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end; whether it succeeded is for the caller to judge.

    Args:
        failed: raised, with the remedy, when it does not end in time.
        environment: all of the program's; default: ours.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        name = " ".join(takewhile(lambda word: not word.startswith("-"), command))
        raise failed(f"{name} did not end within {seconds:.0f} s.", remedy=remedy) from error


def pass_on(
    command: Sequence[str],
    prefix: re.Pattern[str],
    show: Show | None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run a program whose lines go to our own output, or to `show`; answers its exit code.

    Args:
        prefix: finds `part` and `line` in a line; one that it does not find has no part.
        show: given a line's part and text.
        environment: all of the program's; default: ours.
    """
    if show is None:
        return subprocess.run(command, check=False, env=environment).returncode
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace", env=environment) as process:
        try:
            for line in process.stdout or ():
                found = prefix.fullmatch(line.rstrip("\n"))
                show(*(found["part"], found["line"]) if found else ("", line.rstrip("\n")))
        except BaseException:
            process.terminate()
            raise
    return process.returncode


def last_line(text: str) -> str:
    """The last line, in which programs tell what went wrong."""
    return (text.strip().splitlines() or ["no reason given"])[-1]


def last_lines(done: Done) -> str:
    """What a program said when it failed: its last lines, else its exit code."""
    return "\n".join(done.stderr.strip().splitlines()[-LAST_LINES:]) or f"exit code {done.returncode}"
