"""What differs between two trees, as git tells it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pavo.remote.git.program import Git
from pavo.remote.git.repositories import Repository

MAX_FILES: Final = 2_000
"""That are told of one difference."""
_RAW: Final = re.compile(r":(\d{6}) (\d{6}) [0-9a-f]+ [0-9a-f]+ ([A-Z])\d*")
_KINDS: Final = {"A": "added", "D": "deleted", "M": "modified", "T": "modified"}
_REPOSITORY: Final = "160000"
"""The mode of an entry that is another repository's commit."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of one file."""

    path: str
    change: str
    """added, deleted or modified."""
    added: int
    removed: int
    """Lines; 0 of files that are no text."""


async def changes_of(git: Git, repository: Repository, before: str, after: str) -> tuple[Change, ...]:
    """The files that differ, at most `MAX_FILES`; a file that was moved is a deleted and an added one."""
    told = await git.local(
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--numstat",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        before,
        after,
        directory=repository.transfers,
        variables=repository.variables,
    )
    kinds: dict[str, str] = {}
    lines: dict[str, tuple[int, int]] = {}
    parts = iter(told.split("\0"))
    for part in parts:
        if raw := _RAW.fullmatch(part):
            kinds[_shown(next(parts, ""))] = _KINDS.get(raw[3], "modified")
        elif part.count("\t") >= 2:
            added, removed, path = part.split("\t", 2)
            lines[_shown(path)] = (_number(added), _number(removed))
    found = [Change(path, kind, *lines.get(path, (0, 0))) for path, kind in kinds.items()]
    return tuple(found[:MAX_FILES])


async def write_patch(git: Git, repository: Repository, before: str, after: str, place: Path, most_bytes: int) -> bool:
    """Write what differs between two trees into a file, as `git apply` takes it; whether it has at most so many bytes.

    Raises:
        CommandFailed: git cannot tell, or the disk is full.
    """
    asked = ("diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
    wanted = (*asked, "--no-color", before, after)
    return await git.to_file(
        *wanted, directory=repository.transfers, variables=repository.variables, place=place, most_bytes=most_bytes
    )


async def nested_repositories(git: Git, repository: Repository, variables: Mapping[str, str], commit: str) -> list[str]:
    """Folders that became commits of other repositories, which the commit does not have: somebody made repositories
    in the worktree, whose commits nobody else has."""
    told = await git.local(
        "diff-index",
        "--cached",
        "--raw",
        "-z",
        "--no-renames",
        "--ignore-submodules=none",
        commit,
        directory=repository.transfers,
        variables=variables,
    )
    parts = iter(told.split("\0"))
    found: list[str] = []
    for part in parts:
        if raw := _RAW.fullmatch(part):
            path = next(parts, "")
            if raw[2] == _REPOSITORY and raw[1] != _REPOSITORY:
                found.append(path)
    return found


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _shown(path: str) -> str:
    """A path of any bytes, as text."""
    return path.encode(errors="surrogateescape").decode(errors="replace")
