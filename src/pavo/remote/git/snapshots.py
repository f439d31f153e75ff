"""What an attempt has changed in its worktree, committed or not, and committing it.

Git looks at the worktree from `transfers`, with an index of our own: whatever a coding program has configured there, or
done to git's own files, runs nothing and hides nothing.
"""

import contextlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pavo.remote.errands.errand import INFO, WARNING, Errand
from pavo.remote.errands.failures import BAD_REPOSITORY, failed
from pavo.remote.git.changes import Change, changes_of, nested_repositories
from pavo.remote.git.program import Git
from pavo.remote.git.repositories import Repositories, Repository

_NO_AUTHOR: Final = frozenset("<>\0\r\n")
_INVALID: Final = re.compile(r"error: invalid path '(.*)'")
_OF_INVALID: Final = re.compile(r"error: (invalid path|unable to add) '|fatal: adding files failed|warning: |hint: ")
_MAX_TOLD: Final = 20
_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The worktree of one attempt."""

    job_id: str
    epoch: int
    clone_url: str
    base_branch: str
    branch: str
    place: str
    """The folder in which the coding program works."""
    git_directory: str
    """What git keeps of the worktree."""
    local_branch: str
    base_commit: str
    """Of the base branch when the attempt began."""
    start_commit: str
    """With which it began: that of the branch, where it was there, else the base's."""
    remote_commit: str
    """Of the branch at the server when it was fetched or pushed last; empty: it was not there."""
    adopted: str = ""
    """The commit of a lost attempt that it began with; empty: it began with none."""
    author_name: str = ""
    """Of commits there; empty: the agent's own."""
    author_email: str = ""
    begun_by: str = ""
    """The command whose coding program works in it, or has; empty: none did."""
    confinement: str = ""
    """Of that program: `programs.sandbox.Confinement.note`."""

    @property
    def is_of_plan(self) -> bool:
        """Whether only a plan is made in it: what is changed in it is thrown away."""
        return self.branch == plan_branch(self.job_id)

    @property
    def writable(self) -> tuple[Path, Path]:
        """Where a confined program must be able to write: its worktree, and the repository that this belongs to."""
        return Path(self.place), Path(self.git_directory).parents[1]


@dataclass(frozen=True, slots=True)
class Difference:
    """What an attempt has changed, committed or not."""

    commit: str
    """On which the worktree stands; what is not committed comes on top."""
    tree: str
    """All of it, as git names it."""
    uncommitted: bool
    changed: bool
    """Whether it differs from the base branch."""
    since_start: bool
    """Whether it differs from what the attempt began with."""
    files: tuple[Change, ...]
    """Against the base branch."""
    base: str
    """The commit of the base branch that it differs from."""


@dataclass(frozen=True, slots=True)
class Author:
    """Of commits that the agent makes."""

    name: str
    email: str

    def or_else(self, other: "Author") -> "Author":
        """This one, where it is one that git takes."""
        return self if self.name and self.email and not set(self.name + self.email) & _NO_AUTHOR else other

    @property
    def configuration(self) -> str:
        """As a file of git's has it, with quotes around it: no value of it is anything else."""
        quoted = [each.replace("\\", "\\\\").replace('"', '\\"') for each in (self.name, self.email)]
        return f'[user]\n\tname = "{quoted[0]}"\n\temail = "{quoted[1]}"\n'

    @property
    def variables(self) -> dict[str, str]:
        """As git reads it."""
        return {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in self._values()}

    def _values(self) -> list[tuple[str, str]]:
        return [("NAME", self.name), ("EMAIL", self.email)]


class Snapshots:
    """Who calls a method holds the repository.

    Args:
        folder: where the indexes are.
    """

    def __init__(self, git: Git, repositories: Repositories, folder: Path, author: Author) -> None:
        self._git, self._repositories, self._folder, self.own_author = git, repositories, folder, author

    async def commit(self, repository: Repository, workspace: Workspace, message: str, errand: Errand) -> Difference:
        """Commit what is not committed; the difference afterwards."""
        found = await self.take(repository, workspace, errand)
        if not found.uncommitted:
            return found
        made = await self._git.local(
            "commit-tree",
            found.tree,
            "-p",
            found.commit,
            "-F",
            "-",
            directory=repository.transfers,
            given=message.encode(errors="replace") or b"Work",
            variables=repository.variables | self.author_of(workspace).variables,
        )
        commit = made.strip()
        await self._move(repository, workspace, commit)
        await errand.log("git", INFO, f"Committed what was left: {commit}.")
        return replace(found, commit=commit, uncommitted=False)

    def author_of(self, workspace: Workspace) -> Author:
        """Of commits in a worktree."""
        return Author(workspace.author_name, workspace.author_email).or_else(self.own_author)

    async def take(self, repository: Repository, workspace: Workspace, errand: Errand) -> Difference:
        """What was changed."""
        commit = await self._head(repository, workspace)
        variables = self._worktree(repository, workspace)
        await self._git.local("read-tree", commit, directory=repository.transfers, variables=variables)
        await self._add(repository, variables, errand)
        for nested in await nested_repositories(self._git, repository, variables, commit):
            forget = ("update-index", "--force-remove", "-z", "--stdin")
            given = nested.encode(errors="surrogateescape")
            await self._git.local(*forget, directory=repository.transfers, given=given, variables=variables)
            await errand.log("git", WARNING, f"{nested} is a repository of its own, which is left out.")
        tree = (await self._git.local("write-tree", directory=repository.transfers, variables=variables)).strip()
        at_commit = (await self._repositories.local(repository, "rev-parse", f"{commit}^{{tree}}")).strip()
        at_start = await self._repositories.local(repository, "rev-parse", f"{workspace.start_commit}^{{tree}}")
        base = await self._git.may_fail(
            "merge-base",
            workspace.base_commit,
            commit,
            directory=repository.transfers,
            variables=repository.variables,
        )
        before = base.text.strip() or workspace.base_commit
        files = await changes_of(self._git, repository, before, tree)
        return Difference(commit, tree, tree != at_commit, bool(files), tree != at_start.strip(), files, before)

    async def _add(self, repository: Repository, variables: Mapping[str, str], errand: Errand) -> None:
        """Have the index hold what is there. What no repository may hold, such as a link called .gitmodules, is left
        out: all else is kept.

        Raises:
            CommandFailed: something else is wrong.
        """
        add = ("add", "--all", "--ignore-errors", "--", ".")
        done = await self._git.may_fail(*add, directory=repository.transfers, variables=variables)
        said = [line for line in done.error.splitlines() if line.strip()]
        refused = [found[1] for line in said if (found := _INVALID.fullmatch(line.strip()))]
        if done.code != 0 and (not refused or any(not _OF_INVALID.match(line.strip()) for line in said)):
            raise self._git.failure(add[0], done.error or done.text)
        for name in refused[:_MAX_TOLD]:
            await errand.log("git", WARNING, f"{name[:200]!r} cannot be in a repository: it is left out.")

    async def holds(self, repository: Repository, commit: str, former: str) -> bool:
        """Whether a commit has all of a former one."""
        asked = ("merge-base", "--is-ancestor", former, commit)
        done = await self._git.may_fail(*asked, directory=repository.transfers, variables=repository.variables)
        return done.code == 0

    async def _head(self, repository: Repository, workspace: Workspace) -> str:
        """The commit on which the worktree stands; where a program left none, the one it began with."""
        scope = {"GIT_COMMON_DIR": str(repository.shared)}
        directory = Path(workspace.git_directory)
        if directory.is_dir():
            done = await self._git.may_fail(
                "rev-parse", "--verify", "--quiet", "HEAD^{commit}", directory=directory, variables=scope
            )
            if done.code == 0 and _COMMIT.fullmatch(done.text.strip()):
                return done.text.strip()
        return workspace.start_commit

    async def _move(self, repository: Repository, workspace: Workspace, commit: str) -> None:
        """Have the worktree stand on a commit that holds what is in it."""
        directory = Path(workspace.git_directory)
        if not directory.is_dir():
            return
        scope = {"GIT_COMMON_DIR": str(repository.shared)}
        await self._git.may_fail("update-ref", "HEAD", commit, directory=directory, variables=scope)
        with contextlib.suppress(OSError):
            shutil.copy2(index_of(self._folder, workspace.job_id, workspace.epoch), directory / "index")

    def _worktree(self, repository: Repository, workspace: Workspace) -> dict[str, str]:
        """Of commands that look at the worktree: with an index of our own, whatever a program did with its one."""
        index = index_of(self._folder, workspace.job_id, workspace.epoch)
        return repository.variables | {"GIT_WORK_TREE": workspace.place, "GIT_INDEX_FILE": str(index)}


def plan_branch(job_id: str) -> str:
    """On which a plan is made; it is never pushed."""
    return f"pavo/plan-{job_id}"


def index_of(folder: Path, job_id: str, epoch: int) -> Path:
    """Of an attempt's worktree."""
    return folder / f"{name_of(job_id, epoch)}.index"


def name_of(job_id: str, epoch: int) -> str:
    """Of what is kept of an attempt.

    Raises:
        CommandFailed: that is no id of a job.
    """
    if not _ID.fullmatch(job_id) or epoch < 0:
        raise failed(BAD_REPOSITORY, f"{job_id[:80]!r} is no id of a job.", "Look at the gateway.")
    return f"{job_id}--{epoch}"
