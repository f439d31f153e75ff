"""The repositories that an agent keeps: fetched once for each clone URL, shared by all worktrees.

Each has two directories of git's. `shared` is what worktrees belong to, and what coding programs write into. Servers
are asked from `transfers` alone, whose configuration nobody else writes; its objects are those of `shared`.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pavo.remote.errands.errand import GIT, CredentialRefused, CredentialsAway, Errand
from pavo.remote.errands.failures import BRANCH_MISSING, CREDENTIAL_REFUSED, failed, of_system
from pavo.remote.git.locking import locked
from pavo.remote.git.program import Git, Transferred

_OLD_LOCK_SECONDS: Final = 600
"""A lock file of git's in `shared` is somebody's until then."""
_OLD_PACK_SECONDS: Final = 86_400
"""A pack that is half there is being received until then."""
_CONFIG: Final = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
_FOREIGN: Final = (
    "config.worktree",
    "objects/info/alternates",
    "objects/info/http-alternates",
    "info/attributes",
    "info/grafts",
    "shallow",
)
"""Files of git's that nobody but a coding program makes here."""
_LS_REMOTE: Final = re.compile(r"([0-9a-f]{40,64})\trefs/heads/(.+)")


@dataclass(frozen=True, slots=True)
class Repository:
    """One that is kept."""

    url: str
    place: Path

    @property
    def shared(self) -> Path:
        """What worktrees belong to."""
        return self.place / "shared.git"

    @property
    def transfers(self) -> Path:
        """From which servers are asked."""
        return self.place / "transfers.git"

    @property
    def variables(self) -> dict[str, str]:
        """So that `transfers` reads and writes the objects of `shared`."""
        return {"GIT_OBJECT_DIRECTORY": str(self.shared / "objects")}


class Repositories:
    """Those of one agent.

    Args:
        folder: where they are.
    """

    def __init__(self, git: Git, folder: Path) -> None:
        self._git, self._folder = git, folder

    def at(self, url: str) -> Repository:
        """The one with this clone URL, whether it is there yet or not."""
        name = re.sub(r"[^\w.-]+", "-", urlsplit(url).path.strip("/").removesuffix(".git"), flags=re.ASCII)[-60:]
        digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        return Repository(url, self._folder / f"{name.strip('.-')}-{digest}")

    @contextlib.asynccontextmanager
    async def held(self, repository: Repository) -> AsyncGenerator[None]:
        """Be the only one who fetches, pushes, or makes and removes worktrees; its own configuration is in force.

        Raises:
            CommandFailed: it cannot be made, or is in use for an hour.
        """
        async with locked(repository.place / "lock"):
            try:
                await self._make(repository)
            except OSError as error:
                raise of_system(error, "The agent's repository cannot be written") from error
            yield

    async def fetch(self, repository: Repository, branches: Sequence[str], errand: Errand) -> dict[str, str]:
        """Have these branches, as far as they are there; their commits. Who calls this holds the repository.

        Raises:
            CommandFailed: the server cannot be reached, or refuses.
        """
        found = await self.ask(repository, branches, errand)
        wanted = [f"+refs/heads/{name}:{_ref(name)}" for name in found]
        if wanted:
            how = ("--progress", "--no-write-fetch-head", "--force")
            await self._transfer(repository, errand, "fetch", *how, "--", repository.url, *wanted)
        commits: dict[str, str] = {}
        for name in found:  # it may have moved between the two
            said = await self.local(repository, "rev-parse", "--verify", "--quiet", f"{_ref(name)}^{{commit}}")
            commits[name] = said.strip()
        await self._tell_shared(repository, commits)
        return commits

    async def ask(self, repository: Repository, branches: Sequence[str], errand: Errand) -> dict[str, str]:
        """The commits of these branches at the server; those that are not there are left out."""
        patterns = [f"refs/heads/{name}" for name in branches]
        told = await self._transfer(repository, errand, "ls-remote", "--", repository.url, *patterns)
        matches = [found for line in told.lines if (found := _LS_REMOTE.fullmatch(line))]
        return {found[2]: found[1] for found in matches if found[2] in branches}

    async def push(
        self, repository: Repository, commit: str, branch: str, expected: str, errand: Errand
    ) -> tuple[str, ...]:
        """Have a branch at the server be this commit, if it is what is expected there, and if the attempt may push
        there at this moment.

        Args:
            expected: its commit; empty: there is none.

        Returns:
            What git says of a refusal, by the server or since it is another one; empty: it was pushed.
        """
        await _permit(repository.url, branch, errand)
        lease = f"--force-with-lease=refs/heads/{branch}:{expected}"
        done = await self._transfer(
            repository,
            errand,
            "push",
            "--porcelain",
            "--no-verify",
            lease,
            "--",
            repository.url,
            f"{commit}:refs/heads/{branch}",
            told=("[rejected]", "[remote rejected]", "[no match]"),
            branch=branch,
        )
        return tuple(line for line in done.lines if line.startswith("!") or "remote:" in line)

    async def local(self, repository: Repository, *arguments: str, given: bytes = b"") -> str:
        """A command on its objects, from `transfers`: what coding programs have configured is not seen."""
        return await self._git.local(
            *arguments, directory=repository.transfers, given=given, variables=repository.variables
        )

    async def _transfer(
        self, repository: Repository, errand: Errand, *arguments: str, told: Sequence[str] = (), branch: str = ""
    ) -> Transferred:
        return await self._git.transfer(
            *arguments,
            directory=repository.transfers,
            url=repository.url,
            errand=errand,
            variables=repository.variables,
            told=told,
            branch=branch,
        )

    async def _make(self, repository: Repository) -> None:
        for place in (repository.shared, repository.transfers):
            for folder in ("objects/info", "objects/pack", "refs/heads", "info"):
                (place / folder).mkdir(parents=True, exist_ok=True)
            head = place / "HEAD"
            if not head.exists():
                _write(head, "ref: refs/heads/none\n")
            _write(place / "config", _CONFIG)
            for name in _FOREIGN:
                (place / name).unlink(missing_ok=True)
        _remove_locks(repository.transfers, 0)
        _remove_locks(repository.shared, _OLD_LOCK_SECONDS)

    async def _tell_shared(self, repository: Repository, commits: dict[str, str]) -> None:
        """Coding programs see the branches as `origin/...`, where the names of older ones do not stand in the way."""
        for name, commit in commits.items():
            kept = (_ref(name), f"refs/remotes/origin/{name}")
            for ref in kept:
                done = await self._git.may_fail("update-ref", ref, commit, directory=repository.shared)
                if done.code != 0 and ref == kept[0]:
                    raise failed(BRANCH_MISSING, f"The branch {name} cannot be kept: {done.error[:300]}")


async def _permit(url: str, branch: str, errand: Errand) -> None:
    """Ask whether the attempt may push there, whether or not the server wants a credential for it."""
    try:
        host = urlsplit(url).netloc.lower()
        found = await errand.credentials.ask(errand.job_id, errand.epoch, GIT, host, branch)
    except CredentialRefused as error:
        remedy = "Look at the job: another attempt may have it."
        raise failed(CREDENTIAL_REFUSED, f"{branch} may not be pushed to: {error}", remedy) from error
    except CredentialsAway as error:
        raise failed(CREDENTIAL_REFUSED, f"No gateway says whether to push: {error}", retryable=True) from error
    if found.push_branch != branch:
        told = f"{branch} may not be pushed to, but {found.push_branch or 'no branch'}."
        raise failed(CREDENTIAL_REFUSED, told, "Look at the gateway's version.")


def _ref(branch: str) -> str:
    """Where a branch of the server is kept: no name of one stands in the way of another's."""
    return f"refs/pavo/{hashlib.sha256(branch.encode()).hexdigest()[:32]}"


def _write(place: Path, content: str) -> None:
    """Whole or not at all; what is there and differs is replaced, also a link."""
    if place.is_file() and not place.is_symlink() and place.read_bytes() == content.encode():
        return
    fresh = place.with_name(f"{place.name}.pavo-{os.getpid()}")
    fresh.write_text(content)
    fresh.replace(place)


def _remove_locks(directory: Path, seconds: float) -> None:
    """Of commands that were killed, with their half packs; git would refuse to go on."""
    now = time.time()
    for form, age in (("*.lock", seconds), ("refs/**/*.lock", seconds), ("objects/pack/tmp_*", _OLD_PACK_SECONDS)):
        for place in directory.glob(form):
            with contextlib.suppress(OSError):
                if place.lstat().st_mtime <= now - age:
                    place.unlink()
