"""The repository's own commands, before the coding program and after it: each bounded, with a log source of its own."""

import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pavo.protocol.limits import CHECK_SECONDS
from pavo.remote.errands.errand import ERROR, INFO, WARNING, Errand
from pavo.remote.errands.failures import PREPARE_FAILED, failed
from pavo.remote.processes.contract import Ended, OutputLine
from pavo.remote.processes.running import run

TAIL_BYTES: Final = 16_000
_PASSED: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY")
"""Of the agent's environment: none of its tokens is among them."""

PREPARE: Final = "prepare"
VERIFY: Final = "verify"


@dataclass(frozen=True, slots=True)
class Check:
    """A command."""

    name: str
    command: str
    """For `sh`."""
    seconds: int


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one ended."""

    name: str
    exit_code: int
    """As a shell tells it; 127 also where it could not be started."""
    seconds: float
    timed_out: bool
    tail: str
    """The end of its output, at most `TAIL_BYTES` in UTF-8."""

    @property
    def passed(self) -> bool:
        """Whether it ended by itself, and well."""
        return self.exit_code == 0 and not self.timed_out


@dataclass(slots=True)
class _Tail:
    """The last lines that fit."""

    lines: deque[bytes] = field(default_factory=deque[bytes])
    size: int = 0

    def add(self, text: str) -> None:
        line = f"{text}\n".encode(errors="replace")[-TAIL_BYTES:]
        self.lines.append(line)
        self.size += len(line)
        while self.size > TAIL_BYTES:
            self.size -= len(self.lines.popleft())

    def text(self) -> str:
        return b"".join(self.lines).decode(errors="ignore")


SHELL: Final = ("/bin/sh", "-c")


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """In which the repository's commands run.

    Args:
        home: a folder of the attempt's own, which is made.
    """
    home.mkdir(parents=True, exist_ok=True)
    found = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**found, "HOME": str(home), "CI": "1", "GIT_TERMINAL_PROMPT": "0", **(more or {})}


async def run_checks(
    checks: Iterable[Check],
    what: str,
    *,
    place: Path,
    env: Mapping[str, str],
    errand: Errand,
    shell: Sequence[str] = SHELL,
) -> list[CheckResult]:
    """Run each, one after the other, whatever became of those before it; of `prepare` those after a failure are not.

    Args:
        what: `prepare` or `verify`: the beginning of their log sources.
        place: the worktree, in which they run.
        shell: that runs their commands, perhaps confined.
    """
    found: list[CheckResult] = []
    for check in checks:
        result = await _run(check, f"{what}:{check.name}", place, env, errand, shell)
        found.append(result)
        if what == PREPARE and not result.passed:
            break
    return found


async def prepare(
    checks: Sequence[Check], *, place: Path, env: Mapping[str, str], errand: Errand, shell: Sequence[str] = SHELL
) -> None:
    """Run those that a worktree needs before it can be worked in.

    Raises:
        CommandFailed: one failed.
    """
    for result in await run_checks(checks, PREPARE, place=place, env=env, errand=errand, shell=shell):
        if not result.passed:
            how = "took too long" if result.timed_out else f"ended with {result.exit_code}"
            raise failed(
                PREPARE_FAILED,
                f"{result.name} {how}:\n{result.tail[-1500:]}",
                "Look at its lines in the job's log; mend the repository's commands, or give it more time.",
            )


async def _run(
    check: Check, source: str, place: Path, env: Mapping[str, str], errand: Errand, shell: Sequence[str]
) -> CheckResult:
    tail, seconds = _Tail(), check.seconds or CHECK_SECONDS

    async def on_line(line: OutputLine) -> None:
        text = f"{line.text} … ({line.cut_bytes:,} bytes more)" if line.cut_bytes else line.text
        tail.add(text)
        await errand.log(source, INFO, text)

    await errand.log(source, INFO, f"$ {check.command}")
    command = [*shell, check.command]
    limits = errand.limits(seconds)
    ended = await run(
        command, cwd=place, env=env, limits=limits, on_line=on_line, ending=errand.ending, mark=errand.mark
    )
    errand.check(ended.killed)
    timed_out = ended.ended_by == "timeout"
    code = ended.exit_code if ended.exit_code is not None else 127
    if not ended.passed:
        code = code or 1  # it was ended, and said 0 nevertheless
        tail.add(_why(ended, seconds))
    level = INFO if ended.passed else ERROR
    await errand.log(source, level, f"{_why(ended, seconds)} ({ended.seconds:.1f} s)")
    if ended.killed or ended.left:
        left = f"{ended.killed} processes that it left were ended, {ended.left} could not be."
        await errand.log(source, WARNING, left)
    return CheckResult(check.name, code, ended.seconds, timed_out, tail.text())


def _why(ended: Ended, seconds: float) -> str:
    match ended.ended_by:
        case "timeout":
            return f"It was ended: it took longer than {seconds:g} s."
        case "exit":
            return f"It ended with {ended.exit_code}."
        case "output":
            return "It was ended: it printed too much."
        case "not_started":
            return f"It could not be started: {ended.error}."
        case how:
            return f"It was ended: {how}."
