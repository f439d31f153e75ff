"""Where a job is worked on: a worktree for each attempt, of a repository that is kept, on the job's branch."""

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from pavo.errors import InvalidInput
from pavo.kit.texts.git_names import check_branch, check_clone_url
from pavo.remote.errands.errand import INFO, WARNING, Errand
from pavo.remote.errands.failures import (
    BAD_REPOSITORY,
    BRANCH_MISSING,
    GIT_FAILED,
    PUSH_REFUSED,
    WORKSPACE_LOST,
    failed,
    no_space,
    of_system,
)
from pavo.remote.git.disk import free_at, remove_tree, size_of
from pavo.remote.git.program import Git
from pavo.remote.git.repositories import Repositories, Repository
from pavo.remote.git.snapshots import Author, Difference, Snapshots, Workspace, index_of, name_of
from pavo.remote.work import CommandFailed

_OWN_PLACE: Final = re.compile(r"([0-9A-Za-z-]{1,64}?)--(\d{1,18})")


@dataclass(frozen=True, slots=True)
class WorkspaceSettings:
    """Of an agent."""

    folder: Path
    """All that is kept is below it."""
    author_name: str = "Pavo"
    author_email: str = "pavo@localhost"
    quota_bytes: int = 20_000_000_000
    """That worktrees and repositories may take; the worktrees of attempts that are over go first."""
    least_free_bytes: int = 200_000_000
    """With less on the disk nothing is begun."""
    keep_seconds: float = 7 * 86_400.0
    """For worktrees of attempts that nobody told to clean up."""
    transfer_seconds: float = 1800.0
    files: bool = False
    """Whether `file://` may be cloned; for tests."""


class Workspaces:
    """Those of one agent. Folders of others are never touched: what is removed is below `folder`, and named by us.

    Args:
        held: job and epoch of the attempts that this agent holds: where the quota is reached, the worktrees of others
            are removed, the oldest first.
    """

    def __init__(self, settings: WorkspaceSettings, held: Callable[[], Collection[tuple[str, int]]] = tuple) -> None:
        self._settings, self._held = settings, held
        home = settings.folder / "home"
        self._git = Git(home, files=settings.files, seconds=settings.transfer_seconds)
        self._repositories = Repositories(self._git, settings.folder / "repositories")
        self._places = settings.folder / "worktrees"
        self._homes = settings.folder / "homes"
        self._kept = settings.folder / "attempts"
        author = Author(settings.author_name, settings.author_email)
        self._snapshots = Snapshots(self._git, self._repositories, self._kept, author)
        for each in (home, self._places, self._homes, self._kept):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, job_id: str, epoch: int) -> Workspace:
        """The one of an attempt.

        Raises:
            CommandFailed: there is none on this machine.
        """
        try:
            found = Workspace(**json.loads(self._note(job_id, epoch).read_bytes()))
            if Path(found.place).is_dir():
                return found
        except (OSError, ValueError, TypeError):
            pass
        raise failed(
            WORKSPACE_LOST,
            "The worktree of this attempt is not on the agent's machine any more.",
            "Queue the job again; look whether somebody removed files of the agent's.",
        )

    async def prepare(self, errand: Errand, clone_url: str, base_branch: str, branch: str) -> Workspace:
        """The worktree of an attempt: the one that is there for this branch, else a new one.

        Raises:
            CommandFailed: there is none; nothing half-made is left to be found.
        """
        with contextlib.suppress(CommandFailed):
            found = self.find(errand.job_id, errand.epoch)
            if (found.clone_url, found.base_branch, found.branch) == (clone_url, base_branch, branch):
                return found
        await self.remove(errand.job_id, errand.epoch)  # of something else: of a plan, or half-made
        try:
            check_clone_url(clone_url, files=self._settings.files)
            check_branch(base_branch, "base_branch")
            check_branch(branch)
        except InvalidInput as error:
            raise failed(BAD_REPOSITORY, error.detail, error.remedy or "") from error
        await self._make_space()
        repository = self._repositories.at(clone_url)
        async with self._repositories.held(repository):
            commits = await self._repositories.fetch(repository, [base_branch, branch], errand)
            if base_branch not in commits:
                raise failed(
                    BRANCH_MISSING,
                    f"The repository has no branch {base_branch}.",
                    "Give the job, or the repository, a base branch that is there.",
                )
            return await self._add(errand, repository, base_branch, branch, commits)

    async def difference(self, workspace: Workspace, errand: Errand) -> Difference:
        """What was changed. Files that the repository ignores are not.

        Raises:
            CommandFailed: git cannot tell.
        """
        repository = self._repositories.at(workspace.clone_url)
        async with self._repositories.held(repository):
            return await self._snapshots.take(repository, workspace, errand)

    async def commit(self, workspace: Workspace, message: str, errand: Errand) -> Difference:
        """Commit what is not committed; the difference afterwards. Commits of the coding program stay as they are.

        Raises:
            CommandFailed: git cannot.
        """
        repository = self._repositories.at(workspace.clone_url)
        async with self._repositories.held(repository):
            return await self._snapshots.commit(repository, workspace, message, errand)

    def home_of(self, job_id: str, epoch: int) -> Path:
        """The folder that programs of an attempt have for their home; it goes with the worktree. Git finds in it as
        whom to commit.

        Raises:
            CommandFailed: it cannot be made.
        """
        place = self._homes / name_of(job_id, epoch)
        author = self._settings
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not (place / ".gitconfig").exists():
                who = f"[user]\n\tname = {author.author_name}\n\temail = {author.author_email}\n"
                (place / ".gitconfig").write_text(who)
        except OSError as error:
            raise of_system(error, "The attempt's home cannot be made") from error
        return place

    async def push(self, workspace: Workspace, commit: str, branch: str, errand: Errand) -> Workspace:
        """Have a branch at the server be this commit: the job's own, or the one of a lost attempt.

        What somebody else has pushed there since it was fetched is never overwritten.

        Raises:
            CommandFailed: nothing was pushed, or nobody knows.
        """
        check_branch(branch)
        repository = self._repositories.at(workspace.clone_url)
        async with self._repositories.held(repository):
            expected = workspace.remote_commit if branch == workspace.branch else ""
            refused = await self._repositories.push(repository, commit, branch, expected, errand)
            if refused and (await self._repositories.ask(repository, [branch], errand)).get(branch) != commit:
                raise _refused(branch, refused)
            await errand.log("git", INFO, f"{branch} is {commit} at the server.")
            return self._keep(replace(workspace, remote_commit=commit) if branch == workspace.branch else workspace)

    async def remove(self, job_id: str, epoch: int) -> int:
        """Remove the worktree of an attempt; the bytes that it took. None there is well.

        Raises:
            CommandFailed: something of it cannot be removed; another try goes on.
        """
        place, note = self._place(job_id, epoch), self._note(job_id, epoch)
        try:
            known: Workspace | None = Workspace(**json.loads(note.read_bytes()))
        except (OSError, ValueError, TypeError):
            known = None
        freed = await asyncio.to_thread(size_of, place)
        freed += await asyncio.to_thread(size_of, self._homes / place.name)
        try:
            await asyncio.to_thread(remove_tree, place)
            await asyncio.to_thread(remove_tree, self._homes / place.name)
            if known is not None:
                await self._forget(known)
            for each in (index_of(self._kept, job_id, epoch), note):
                each.unlink(missing_ok=True)
        except OSError as error:
            raise failed(
                GIT_FAILED,
                f"The worktree cannot be removed: {error.strerror or error}.",
                f"Look who may write below {place}.",
                retryable=True,
            ) from error
        return freed

    async def sweep(self, running: Collection[tuple[str, int]], now: float) -> int:
        """Remove worktrees of attempts that are not running and are older than they are kept; the bytes freed.

        Args:
            running: job and epoch of those that are.
            now: seconds since 1970, by the clock of this machine's files.
        """
        freed = 0
        for job_id, epoch, changed in self._idle(running):
            if now - changed > self._settings.keep_seconds:
                freed += await self.remove(job_id, epoch)
        return freed

    async def make_room(self, running: Collection[tuple[str, int]]) -> int:
        """Remove worktrees of attempts that are not running, the oldest first, until the quota holds; bytes freed."""
        taken = await asyncio.to_thread(size_of, self._settings.folder)
        freed = 0
        for job_id, epoch, _ in self._idle(running):
            if taken - freed <= self._settings.quota_bytes:
                break
            freed += await self.remove(job_id, epoch)
        return freed

    def _idle(self, running: Collection[tuple[str, int]]) -> list[tuple[str, int, float]]:
        """The oldest first."""
        found: list[tuple[str, int, float]] = []
        for place in self._places.iterdir():
            name = _OWN_PLACE.fullmatch(place.name)
            if name is not None and (name[1], int(name[2])) not in running:
                with contextlib.suppress(OSError):
                    found.append((name[1], int(name[2]), place.lstat().st_mtime))
        return sorted(found, key=lambda each: each[2])

    async def _make_space(self) -> None:
        free = free_at(self._settings.folder)
        if free < self._settings.least_free_bytes:
            raise no_space(f"{free:,} bytes are free, and {self._settings.least_free_bytes:,} are kept free")
        taken = await asyncio.to_thread(size_of, self._settings.folder)
        if taken > self._settings.quota_bytes and (held := self._held()):
            taken -= await self.make_room(held)
        if taken > self._settings.quota_bytes:
            raise no_space(f"its worktrees take {taken:,} bytes of {self._settings.quota_bytes:,}")

    async def _add(
        self, errand: Errand, repository: Repository, base_branch: str, branch: str, commits: dict[str, str]
    ) -> Workspace:
        place, index = self._place(errand.job_id, errand.epoch), index_of(self._kept, errand.job_id, errand.epoch)
        start = commits.get(branch) or commits[base_branch]
        try:
            await asyncio.to_thread(remove_tree, place)  # of an attempt to make it
            directory = repository.shared / "worktrees" / place.name
            await asyncio.to_thread(remove_tree, directory)
        except OSError as error:
            raise of_system(error, "The worktree cannot be made") from error
        local = branch if not _is_used(repository, branch) else f"{branch}--epoch-{errand.epoch}"
        add = ("worktree", "add", "--force", "-B", local, str(place), start)
        try:
            await self._git.local(*add, directory=repository.shared, seconds=self._settings.transfer_seconds)
            shutil.copy2(directory / "index", index)
        except (OSError, CommandFailed) as error:
            await asyncio.to_thread(remove_tree, place)  # or what is there of it fills a disk that is full
            if isinstance(error, OSError):
                raise of_system(error, "The worktree's index cannot be kept") from error
            raise
        made = Workspace(
            errand.job_id,
            errand.epoch,
            repository.url,
            base_branch,
            branch,
            str(place),
            str(directory),
            local,
            commits[base_branch],
            start,
            commits.get(branch, ""),
        )
        await self._warn(errand, repository, start)
        goes_on = "goes on with" if branch in commits else f"begins at {base_branch},"
        await errand.log("git", INFO, f"{branch} {goes_on} {start}.")
        return self._keep(made)

    async def _warn(self, errand: Errand, repository: Repository, commit: str) -> None:
        listed = await self._repositories.local(
            repository, "ls-tree", "-r", "--name-only", "-z", commit, "--", ".gitmodules"
        )
        if listed.strip("\0"):
            await errand.log("git", WARNING, "The repository has submodules, which are not fetched.")
        filters = await self._git.may_fail(
            "grep",
            "-q",
            "filter=lfs",
            commit,
            "--",
            ":(glob)**/.gitattributes",
            directory=repository.transfers,
            variables=repository.variables,
        )
        if filters.code == 0:
            await errand.log("git", WARNING, "The repository has files in LFS: their pointers are left as they are.")

    async def _forget(self, workspace: Workspace) -> None:
        repository = self._repositories.at(workspace.clone_url)
        async with self._repositories.held(repository):
            await asyncio.to_thread(remove_tree, Path(workspace.git_directory))
            if not _is_used(repository, workspace.local_branch):
                ref = f"refs/heads/{workspace.local_branch}"
                await self._git.may_fail("update-ref", "-d", ref, directory=repository.shared)

    def _keep(self, workspace: Workspace) -> Workspace:
        place = self._note(workspace.job_id, workspace.epoch)
        fresh = place.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(asdict(workspace)))
            fresh.replace(place)
        except OSError as error:
            raise of_system(error, "The worktree cannot be noted") from error
        return workspace

    def _place(self, job_id: str, epoch: int) -> Path:
        return self._places / name_of(job_id, epoch)

    def _note(self, job_id: str, epoch: int) -> Path:
        return self._kept / f"{name_of(job_id, epoch)}.json"


def _is_used(repository: Repository, branch: str) -> bool:
    """Whether another attempt's worktree stands on it."""
    wanted = f"ref: refs/heads/{branch}"
    for head in (repository.shared / "worktrees").glob("*/HEAD"):
        with contextlib.suppress(OSError):
            if head.read_text(errors="replace").strip() == wanted:
                return True
    return False


def _refused(branch: str, said: tuple[str, ...]) -> CommandFailed:
    text = " ".join(" ".join(line.split()) for line in said)[:1000]
    if "stale info" in text or "fetch first" in text or "non-fast-forward" in text:
        return failed(
            PUSH_REFUSED,
            f"Somebody else has pushed to {branch} since the attempt began: {text}",
            "Look at those commits, and queue the job again: it goes on with them.",
        )
    return failed(
        PUSH_REFUSED,
        f"The server refused {branch}: {text}",
        "Look at the rules of the server for branches, such as protected ones and hooks.",
    )
