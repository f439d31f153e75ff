"""Where a job is worked on: a worktree for each attempt, of a repository that is kept, on the job's branch."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Collection, Mapping
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
    of_system,
)
from pavo.remote.git.changes import write_patch
from pavo.remote.git.disk import remove_tree, size_of
from pavo.remote.git.patch_files import SUFFIXES, PatchFiles
from pavo.remote.git.program import Git
from pavo.remote.git.repositories import Repositories, Repository
from pavo.remote.git.snapshots import Author, Difference, Snapshots, Workspace, index_of, name_of
from pavo.remote.room import Key, Room
from pavo.remote.work import CommandFailed


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


_OWN: Final = Author("", "")


@dataclass(frozen=True, slots=True)
class Beginning:
    """With what a worktree begins, where that is not the job's branch or its base alone."""

    adopted_branch: str = ""
    """Of a lost attempt, whose work is gone on with; empty: none is."""
    adopted_commit: str = ""
    """That has to be there still."""
    author: Author = _OWN
    """Of commits in it; without a name the agent's own."""


class Workspaces:
    """Those of one agent. Folders of others are never touched: what is removed is below `folder`, and named by us."""

    def __init__(self, settings: WorkspaceSettings) -> None:
        self._settings = settings
        home = settings.folder / "home"
        self._git = Git(home, files=settings.files, seconds=settings.transfer_seconds)
        self._repositories = Repositories(self._git, settings.folder / "repositories")
        self._places = settings.folder / "worktrees"
        self._homes = settings.folder / "homes"
        self._kept = settings.folder / "attempts"
        self.room = Room(settings.folder, self._places, settings.quota_bytes, settings.least_free_bytes, self.remove)
        author = Author(settings.author_name, settings.author_email)
        self._snapshots = Snapshots(self._git, self._repositories, self._kept, author)
        for each in (home, self._places, self._homes, self._kept):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)

    def forget_sockets(self) -> None:
        """When the agent begins and when it ends: remove what is left of requests for credentials."""
        with contextlib.suppress(OSError):  # they open nothing any more
            self._git.sockets.forget()

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

    async def prepare(
        self, errand: Errand, clone_url: str, base_branch: str, branch: str, beginning: Beginning | None = None
    ) -> Workspace:
        """The worktree of an attempt: the one that is there for this branch, else a new one.

        Raises:
            CommandFailed: there is none; nothing half-made is left to be found.
        """
        beginning = beginning or Beginning()
        with contextlib.suppress(CommandFailed):
            found = self.find(errand.job_id, errand.epoch)
            known = (found.clone_url, found.base_branch, found.branch, found.adopted)
            if known == (clone_url, base_branch, branch, beginning.adopted_commit):
                return self._keep(_by(found, beginning.author))
        await self.remove(errand.job_id, errand.epoch)  # of something else: of a plan, or half-made
        try:
            check_clone_url(clone_url, files=self._settings.files)
            check_branch(base_branch, "base_branch")
            check_branch(branch)
            if beginning.adopted_branch:
                check_branch(beginning.adopted_branch)
        except InvalidInput as error:
            raise failed(BAD_REPOSITORY, error.detail, error.remedy or "") from error
        await self.room.make_space()
        repository = self._repositories.at(clone_url)
        async with self._repositories.held(repository):
            names = [each for each in (base_branch, branch, beginning.adopted_branch) if each]
            commits = await self._repositories.fetch(repository, names, errand)
            if base_branch not in commits:
                raise failed(
                    BRANCH_MISSING,
                    f"The repository has no branch {base_branch}.",
                    "Give the job, or the repository, a base branch that is there.",
                )
            _check_adopted(beginning, commits)
            return await self._add(errand, repository, base_branch, branch, commits, beginning)

    def note_begun(self, workspace: Workspace, command_id: str, confinement: str) -> None:
        """The coding program of this command begins in it now, confined so."""
        found = self.find(workspace.job_id, workspace.epoch)
        self._keep(replace(found, begun_by=command_id, confinement=confinement))

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

    async def write_patch(self, workspace: Workspace, found: Difference, most_bytes: int) -> bool:
        """Write the patch of a difference to its place in `patch_files`; whether it has at most so many bytes.

        Raises:
            CommandFailed: it cannot be made, or written.
        """
        repository, place = self._repositories.at(workspace.clone_url), self.patch_files(workspace).place
        async with self._repositories.held(repository):
            return await write_patch(self._git, repository, found.base, found.tree, place, most_bytes)

    def patch_files(self, workspace: Workspace) -> PatchFiles:
        """Beside its worktree; they go with it."""
        return PatchFiles(self._note(workspace.job_id, workspace.epoch))

    def home_of(self, job_id: str, epoch: int) -> Path:
        """The folder that programs of an attempt have for their home; it goes with the worktree. Git finds in it as
        whom to commit.

        Raises:
            CommandFailed: it cannot be made.
        """
        place = self._homes / name_of(job_id, epoch)
        author = self._snapshots.own_author
        with contextlib.suppress(CommandFailed):
            author = self._snapshots.author_of(self.find(job_id, epoch))
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not (place / ".gitconfig").exists():
                (place / ".gitconfig").write_text(author.configuration)
        except OSError as error:
            raise of_system(error, "The attempt's home cannot be made") from error
        return place

    async def push(self, workspace: Workspace, commit: str, branch: str, errand: Errand) -> Workspace:
        """Have a branch at the server be this commit: the job's own, or the one of a lost attempt.

        What somebody else has pushed there since it was fetched is never overwritten. What the job's own branch had
        that adopted work has not is put on a branch of its own before.

        Raises:
            CommandFailed: nothing was pushed, or nobody knows.
        """
        check_branch(branch)
        repository = self._repositories.at(workspace.clone_url)
        async with self._repositories.held(repository):
            if branch != workspace.branch:
                await self._push(repository, commit, branch, "", errand)
                return workspace
            former = workspace.remote_commit
            if workspace.adopted and former and not await self._snapshots.holds(repository, commit, former):
                await self._push(repository, former, replaced_branch(branch, workspace.epoch), "", errand)
            await self._push(repository, commit, branch, former, errand)
            return self._keep(replace(workspace, remote_commit=commit))

    async def _push(self, repository: Repository, commit: str, branch: str, expected: str, errand: Errand) -> None:
        refused = await self._repositories.push(repository, commit, branch, expected, errand)
        if refused and (await self._repositories.ask(repository, [branch], errand)).get(branch) != commit:
            raise _refused(branch, refused)
        await errand.log("git", INFO, f"{branch} is {commit} at the server.")

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
            beside = [note.with_suffix(each) for each in SUFFIXES]
            for each in (index_of(self._kept, job_id, epoch), *beside, note):
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
        for job_id, epoch, changed in self.room.idle(running):
            if now - changed > self._settings.keep_seconds:
                freed += await self.remove(job_id, epoch)
        return freed

    async def make_room(self, known: Mapping[Key, bool]) -> int:
        """See `Room.make_room`."""
        return await self.room.make_room(known)

    async def _add(
        self,
        errand: Errand,
        repository: Repository,
        base_branch: str,
        branch: str,
        commits: dict[str, str],
        beginning: Beginning,
    ) -> Workspace:
        place, index = self._place(errand.job_id, errand.epoch), index_of(self._kept, errand.job_id, errand.epoch)
        start = beginning.adopted_commit or commits.get(branch) or commits[base_branch]
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
        where = (str(place), str(directory), local, commits[base_branch], start, commits.get(branch, ""))
        named = (errand.job_id, errand.epoch, repository.url, base_branch, branch)
        made = _by(Workspace(*named, *where, beginning.adopted_commit), beginning.author)
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


def _by(workspace: Workspace, author: Author) -> Workspace:
    return replace(workspace, author_name=author.name, author_email=author.email)


def replaced_branch(branch: str, epoch: int) -> str:
    """Where the commits go that an attempt's adopted work replaces; as `pavo.jobs.domain.replaced_branch` has it."""
    return f"{branch}--before-epoch-{epoch}"


def _check_adopted(beginning: Beginning, commits: Mapping[str, str]) -> None:
    wanted, there = beginning.adopted_commit, commits.get(beginning.adopted_branch)
    if beginning.adopted_branch and (not wanted or there != wanted):
        raise failed(
            BRANCH_MISSING,
            f"{beginning.adopted_branch} was to be {wanted}, and {f'is {there}' if there else 'is not there'}.",
            "Look who changed that branch; put it back and adopt it again, or queue the job again.",
        )


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
