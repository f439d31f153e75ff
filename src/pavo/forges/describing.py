"""The text of a pull request: what was asked, done and verified, with the link to the job."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_ASKED: Final = 20_000
"""Characters."""
MAX_DONE: Final = 20_000
MAX_CHECKS: Final = 50
MAX_FILES: Final = 100


@dataclass(frozen=True, slots=True)
class Verification:
    """How one of the repository's commands ended."""

    name: str
    exit_code: int
    seconds: float
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """How a file was changed."""

    path: str
    change: str
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Described:
    """What is told of a job."""

    asked: str
    done: str
    """The coding program's last words."""
    verified: Sequence[Verification]
    files: Sequence[ChangedFile] = ()
    job: str = ""
    """How the job is called."""
    url: str = ""
    """Of the job; empty: none is known."""


def describe(job: Described) -> str:
    """In Markdown. What people and programs wrote stands in fences, where it mentions nobody and closes nothing."""
    parts = ["### What was asked", _fenced(job.asked, MAX_ASKED)]
    if job.done.strip():
        parts += ["### What was done", _fenced(job.done, MAX_DONE)]
    if job.files:
        parts.append(_files(job.files))
    parts += ["### What was verified", _table(job.verified)]
    if job.url:
        parts.append(f"[{job.job or 'The job'}, with its log]({job.url})")
    elif job.job:
        parts.append(job.job)
    return "\n\n".join(parts)


def _fenced(text: str, limit: int) -> str:
    """Between fences longer than any that it holds."""
    text = text.strip() if len(text) <= limit else f"{text[:limit].strip()}\n(cut here)"
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _files(files: Sequence[ChangedFile]) -> str:
    rows = [f"- {each.change} `{inline(each.path)}` (+{each.added} −{each.removed})" for each in files[:MAX_FILES]]
    return "\n".join(rows + ([f"- and {len(files) - MAX_FILES} more"] if len(files) > MAX_FILES else []))


def inline(text: str) -> str:
    """What people and programs wrote, within a line: one pair of backticks may be around it."""
    return re.sub(r"[|`\s@#]+", " ", text)[:200]


def _table(verified: Sequence[Verification]) -> str:
    if not verified:
        return "Nothing: the repository names no commands for that."
    rows = ["| Check | Result | Seconds |", "|---|---|---|"]
    for each in verified[:MAX_CHECKS]:
        how = "too slow" if each.timed_out else "passed" if each.exit_code == 0 else f"failed ({each.exit_code})"
        rows.append(f"| `{inline(each.name)}` | {how} | {each.seconds:.1f} |")
    return "\n".join(rows)
