"""Running git: local commands at once, transfers below a supervisor, with credentials on demand."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pavo.kit.processes import kill_session
from pavo.remote.errands.errand import INFO, WARNING, Errand
from pavo.remote.errands.failures import (
    BAD_REPOSITORY,
    CLONE_FAILED,
    CREDENTIAL_REFUSED,
    GIT_FAILED,
    WORKSPACE_LOST,
    failed,
    no_space,
    of_system,
)
from pavo.remote.git.credentials import CredentialServer
from pavo.remote.git.disk import free_at
from pavo.remote.git.environment import environment, without_secrets
from pavo.remote.git.sockets import Sockets
from pavo.remote.processes.contract import Ended, OutputLine
from pavo.remote.processes.running import run
from pavo.remote.work import CommandFailed

LOCAL_SECONDS: Final = 600.0
"""For a command that asks no server, such as to check out a large tree."""
MAX_OUTPUT: Final = 64_000_000
"""Bytes of a local command's output, which are kept in memory."""
MAX_LINES: Final = 10_000
"""Of a transfer's standard output that are kept."""
_PIECE: Final = 256_000
KEPT_LINES: Final = 40
"""Of a transfer's last words, in which its failure is told."""
_FULL: Final = re.compile(r"No space left on device|Disk quota exceeded|disk full|unable to write file", re.IGNORECASE)
_FULL_BYTES: Final = 100_000
"""With less left git's failures are taken for that: it does not always say why it could not write."""
_DENIED: Final = re.compile(
    r"Authentication failed|could not read Username|returned error: 40[13]|Invalid username or password|"
    r"credential helper .* told us to quit|HTTP Basic: Access denied",
    re.IGNORECASE,
)
_ABSENT: Final = re.compile(r"repository .* not found|returned error: 404|does not appear to be a git repo", re.I)
_FORBIDDEN: Final = re.compile(r"transport '.*' not allowed", re.I)
_PROGRESS: Final = re.compile(
    r"^\s*(remote: )?(Counting|Compressing|Receiving|Resolving|Writing|Enumerating|Total)\b.*"
)


@dataclass(frozen=True, slots=True)
class Output:
    """Of a local command that may fail."""

    code: int
    text: str
    error: str


@dataclass(frozen=True, slots=True)
class Transferred:
    """What a command that asked a server printed."""

    lines: tuple[str, ...]
    """Of its standard output."""


class Git:
    """Runs git.

    Args:
        home: an empty folder of its own, beside which its sockets are made.
        files: whether `file://` may be fetched from; for tests.
        seconds: for a transfer.
    """

    def __init__(self, home: Path, *, files: bool = False, seconds: float = 1800.0) -> None:
        self._home, self.files, self._seconds = home, files, seconds
        self.sockets = Sockets(home.parent)

    async def local(
        self,
        *arguments: str,
        directory: Path,
        given: bytes = b"",
        variables: Mapping[str, str] | None = None,
        seconds: float = LOCAL_SECONDS,
    ) -> str:
        """What a command prints that asks no server.

        Args:
            directory: the repository, as `GIT_DIR`.

        Raises:
            CommandFailed: it did not end well.
        """
        done = await self.may_fail(*arguments, directory=directory, given=given, variables=variables, seconds=seconds)
        if done.code != 0:
            raise self.failure(arguments[0], done.error or done.text)
        return done.text

    def failure(self, name: str, said: str) -> CommandFailed:
        """Of a command that `may_fail`, by what it said."""
        return self._failed(name, said)

    async def may_fail(
        self,
        *arguments: str,
        directory: Path,
        given: bytes = b"",
        variables: Mapping[str, str] | None = None,
        seconds: float = LOCAL_SECONDS,
    ) -> Output:
        """As `local`; how it ended is told.

        Raises:
            CommandFailed: it could not be started, or took too long.
        """
        scope = {**environment(self._home, files=self.files), "GIT_DIR": str(directory), **(variables or {})}
        process = await _start(arguments, scope.get("GIT_WORK_TREE", str(directory)), scope)
        try:
            async with asyncio.timeout(seconds):
                out, err = await process.communicate(given)
        except TimeoutError as error:
            cause = f"git {arguments[0]} took longer than {seconds:g} s."
            raise failed(GIT_FAILED, cause, "Look at the agent's machine.", retryable=True) from error
        finally:
            await kill_session(process)
        if len(out) > MAX_OUTPUT:
            raise failed(GIT_FAILED, f"git {arguments[0]} printed more than {MAX_OUTPUT:,} bytes.")
        return Output(process.returncode or 0, out.decode(errors="surrogateescape"), err.decode(errors="replace"))

    async def to_file(
        self,
        *arguments: str,
        directory: Path,
        variables: Mapping[str, str],
        place: Path,
        most_bytes: int,
        seconds: float = LOCAL_SECONDS,
    ) -> bool:
        """Write what a command prints that asks no server into a file; whether that has at most so many bytes.

        Raises:
            CommandFailed: it did not end well, took too long, or the file cannot be written.
        """
        scope = {**environment(self._home, files=self.files), "GIT_DIR": str(directory), **variables}
        process = await _start(arguments, str(directory), scope)
        try:
            async with asyncio.timeout(seconds):
                fits = await _written(process, place, most_bytes)
        except TimeoutError as error:
            cause = f"git {arguments[0]} took longer than {seconds:g} s."
            raise failed(GIT_FAILED, cause, "Look at the agent's machine.", retryable=True) from error
        except OSError as error:
            raise of_system(error, f"{place.name} cannot be written") from error
        finally:
            await kill_session(process)
        if fits and process.returncode != 0:
            raise self._failed(arguments[0], f"it ended with {process.returncode}")
        return fits

    async def transfer(
        self,
        *arguments: str,
        directory: Path,
        url: str,
        errand: Errand,
        variables: Mapping[str, str] | None = None,
        told: Sequence[str] = (),
        branch: str = "",
    ) -> Transferred:
        """Run a command that asks the server of a repository; its words go to the attempt's log.

        Args:
            url: of the repository: credentials are handed out for its host alone.
            branch: that it pushes to; empty: it only fetches.
            told: what makes a failure the caller's: lines that hold one of these are in `Transferred.lines` instead.

        Raises:
            CommandFailed: it did not end well.
        """
        async with CredentialServer(url, errand, self.sockets, branch) as server:
            heard = _Heard(server, errand)
            scope = environment(self._home, files=self.files, more=server.configuration)
            scope |= {"GIT_DIR": str(directory), **server.variables, **(variables or {})}
            ended = await run(
                ["git", *arguments],
                cwd=directory,
                env=scope,
                limits=errand.limits(self._seconds),
                on_line=heard.take,
                ending=errand.ending,
                mark=errand.mark,
            )
            errand.check(ended.killed)
            if ended.passed:
                return Transferred(tuple(heard.printed))
            if any(mark in line for mark in told for line in heard.printed):
                return Transferred((*heard.printed, *heard.said))
            await errand.log("git", WARNING, f"git {arguments[0]} failed.")
            raise self._not_transferred(arguments[0], ended, "\n".join(heard.said), server)

    def _not_transferred(self, name: str, ended: Ended, said: str, server: CredentialServer) -> CommandFailed:
        if server.refusal:
            return failed(
                CREDENTIAL_REFUSED, f"git got no credential: {server.refusal}.", server.remedy, retryable=server.away
            )
        if ended.ended_by == "timeout":
            remedy = "Look at the network of the agent's machine, or raise its time-out for transfers."
            return failed(CLONE_FAILED, f"git {name} took longer than {self._seconds:g} s.", remedy, retryable=True)
        if ended.ended_by == "not_started":
            return failed(GIT_FAILED, f"git could not be started: {ended.error}.", "Install git there.")
        if _DENIED.search(said):
            remedy = "Check the secret that the repository names, its user name and its rights."
            return failed(CREDENTIAL_REFUSED, f"The server refused the credential: {_last(said)}", remedy)
        if _ABSENT.search(said):
            remedy = "Check the clone URL, and that the credential may see the repository."
            return failed(BAD_REPOSITORY, f"There is no such repository: {_last(said)}", remedy)
        if _FORBIDDEN.search(said):
            return failed(BAD_REPOSITORY, _last(said), "Give an http(s) URL.")
        return self._failed(name, said, CLONE_FAILED, retryable=True)

    def _failed(self, name: str, said: str, type_: str = GIT_FAILED, *, retryable: bool = False) -> CommandFailed:
        if _FULL.search(said) or free_at(self._home) < _FULL_BYTES:
            return no_space(f"git {name}: {_last(said)}")
        cause = f"git {name} failed: {_last(without_secrets(said))}"
        return failed(type_, cause, "Look at git's lines in the job's log.", retryable=retryable)


@dataclass(slots=True)
class _Heard:
    """What a transfer prints: into the attempt's log, and kept."""

    server: CredentialServer
    errand: Errand
    printed: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])
    """The last lines of its standard error."""

    async def take(self, line: OutputLine) -> None:
        text = self.server.hide(without_secrets(line.text))
        if line.stream == "stdout":
            if len(self.printed) < MAX_LINES:
                self.printed.append(text)
            return
        self.said.append(text)
        del self.said[:-KEPT_LINES]
        if text.strip() and not _PROGRESS.match(text):
            await self.errand.log("git", INFO, text)


async def _start(arguments: Sequence[str], where: str, scope: Mapping[str, str]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=where,
            env=scope,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if Path(where).is_dir():
            raise failed(GIT_FAILED, "There is no git.", "Install git on the agent's machine.") from error
        cause = "The attempt's folder is not there any more."
        raise failed(WORKSPACE_LOST, cause, "Look who removes files of the agent's.") from error
    except OSError as error:
        raise of_system(error, "git could not be started") from error


def _last(said: str) -> str:
    """The lines that tell why, at most 1,000 characters."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if re.match(r"(fatal|error|remote):", line)]
    return " ".join(fatal[-5:] or lines[-3:])[-1000:] or "it says nothing"


async def _written(process: asyncio.subprocess.Process, place: Path, most_bytes: int) -> bool:
    """Whether all of what it prints is in the file; what it says beside is read, and forgotten."""
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdin.close()
    saying = asyncio.create_task(_drain(process.stderr))
    try:
        left = most_bytes
        with await asyncio.to_thread(place.open, "wb") as file:
            while content := await process.stdout.read(_PIECE):
                left -= len(content)
                if left < 0:
                    return False
                await asyncio.to_thread(file.write, content)
        await process.wait()
        return True
    finally:
        saying.cancel()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(_PIECE):
        pass
