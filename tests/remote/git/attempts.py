"""An attempt whose log is kept, and whose credentials are handed out as the test wants."""

import hashlib
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.patches import Patches
from pavo.remote.connection import Gateway, SentFile
from pavo.remote.errands.errand import Credential, CredentialRefused, CredentialsAway, Errand
from pavo.remote.work import CommandFailed, Handler, Work
from pavo.remote.workspaces import Workspace, Workspaces

TOKEN = "token-that-writes"


@dataclass
class GivesCredentials:
    """The gateway's part."""

    password: str = TOKEN
    refused: str = ""
    away: bool = False
    allowed: str | None = None
    """The only branch that may be pushed to; None: any."""
    asked: list[tuple[str, int, str, str]] = field(default_factory=list)

    async def ask(self, job_id: str, epoch: int, purpose: str, host: str, branch: str = "") -> Credential:
        self.asked.append((job_id, epoch, purpose, host))
        if self.refused:
            raise CredentialRefused(self.refused)
        if self.away:
            raise CredentialsAway("nobody answers")
        return Credential("x-access-token", self.password, branch if self.allowed is None else self.allowed)


@dataclass
class Kept:
    """A job's log."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)

    async def __call__(self, source: str, level: str, text: str) -> None:
        self.lines.append((source, level, text))

    @property
    def text(self) -> str:
        return "\n".join(f"{source} {level} {text}" for source, level, text in self.lines)


@dataclass
class KeepsFiles:
    """The gateway's part where files are kept."""

    kept: list[bytes] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)
    """What the next ones are answered with."""
    asked: int = 0

    async def put_file(self, attempt: tuple[str, int], file: SentFile) -> pb.ArtifactKept:
        self.asked += 1
        if self.fails:
            raise self.fails.pop(0)
        content = file.path.read_bytes()
        assert (file.name, file.media_type, file.bytes) == ("patch", "text/x-diff", len(content))
        self.kept.append(content)
        return pb.ArtifactKept(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def patches(workspaces: Workspaces, gateway: KeepsFiles | None = None) -> Patches:
    return Patches(workspaces, cast(Gateway, gateway or KeepsFiles()))


def attempt(credentials: GivesCredentials, job_id: str = "", epoch: int = 1) -> tuple[Errand, Kept]:
    log = Kept()
    return Errand(job_id or str(uuid.uuid4()), epoch, log, credentials), log


def git(workspace: Workspace, *arguments: str) -> str:
    """As the coding program runs it, in the worktree."""
    command = ["git", "-c", "user.name=program", "-c", "user.email=program@x", *arguments]
    done = subprocess.run(command, cwd=workspace.place, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(workspace: Workspace, path: str, content: str) -> Path:
    place = Path(workspace.place) / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content)
    return place


async def carried_out(handler: Handler, command: pb.Command) -> tuple[pb.Result | CommandFailed, str]:
    """What the dispatcher would be answered, and the log."""
    lines: list[str] = []
    put_by: list[bytes] = []

    async def put(what: bytes) -> None:
        put_by.append(what)

    def add(_: object, line: pb.LogLine) -> int:
        lines.append(f"{line.source} {line.level} {line.text}")
        return len(lines)

    mine = pb.Command()
    mine.CopyFrom(command)
    mine.id = str(uuid.uuid4())  # it marks its programs: those of tests beside this one are not to end with them
    work = Work(mine, add, lambda _: None, put)
    try:
        return await handler(work), "\n".join(lines)
    except CommandFailed as error:
        return error, "\n".join(lines)
