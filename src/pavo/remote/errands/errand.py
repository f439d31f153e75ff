"""The attempt for which a command is carried out: whose it is, where its log goes, and who hands out credentials."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias, cast

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.connection import Gateway
from pavo.remote.diagnosis import NotConnected, Refused
from pavo.remote.processes.contract import Ending, Limits
from pavo.remote.work import CommandCancelled, Level, Work

GIT: Final = "git"
FORGE: Final = "forge"
MODEL: Final = "model"

INFO: Final = "info"
WARNING: Final = "warning"
ERROR: Final = "error"

Log: TypeAlias = Callable[[str, str, str], Awaitable[None]]
"""Takes a line of the job's log: its source (`git`, `agent`, `verify:<name>`, ...), its level, its text."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What git or a forge is shown. Kept nowhere."""

    username: str
    password: str = field(repr=False)
    push_branch: str = ""
    """The only branch that may be pushed to with it; empty: none."""


class CredentialRefused(Exception):
    """There is none for this attempt: another one has the job, or none is known for that host."""


class CredentialsAway(Exception):
    """Nobody answers at the moment; no older credential is used instead."""


class Credentials(Protocol):
    """Hands out credentials, each time anew."""

    async def ask(self, job_id: str, epoch: int, purpose: str, host: str, branch: str = "") -> Credential:
        """The one for a purpose at a host.

        Args:
            branch: that is to be pushed to; empty: git only fetches.

        Raises:
            CredentialRefused: there is none for this attempt.
            CredentialsAway: no gateway answers.
        """
        ...


@dataclass(frozen=True, slots=True)
class Errand:
    """What is done for an attempt."""

    job_id: str
    epoch: int
    log: Log
    credentials: Credentials
    ending: Ending = field(default_factory=Ending)
    """Asked when it is to end; programs that run for it end then."""
    seconds_left: Callable[[], float | None] = lambda: None
    """Of its own time; None: it has no end."""
    mark: str | None = None
    """Of its programs, by which another life of the agent finds what is left of them."""

    @classmethod
    def of(cls, work: Work, credentials: Credentials) -> "Errand":
        """For a command of the gateway's."""

        async def log(source: str, level: str, text: str) -> None:
            work.log(text, source=source, level=cast("Level", level))

        command = work.command
        return cls(command.job_id, command.epoch, log, credentials, work.ending, lambda: work.seconds_left, work.mark)

    def check(self, killed: int = 0) -> None:
        """Go no further where it was told to end.

        Raises:
            CommandCancelled: it was.
        """
        if self.ending.asked.is_set() and self.ending.why == "cancelled":
            raise CommandCancelled(killed)

    def limits(self, seconds: float) -> Limits:
        """For a program that has so long, and no longer than is left."""
        left = self.seconds_left()
        return Limits(timeout_seconds=seconds if left is None else min(seconds, left))


class GatewayCredentials:
    """By the gateway, each time anew."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ask(self, job_id: str, epoch: int, purpose: str, host: str, branch: str = "") -> Credential:
        """As `Credentials`; where the repository names none, an empty one."""
        request = pb.CredentialRequest(job_id=job_id, epoch=epoch, purpose=purpose, host=host, branch=branch)
        try:
            found = await self._gateway.credential(request)
        except Refused as error:
            raise CredentialRefused(error.detail) from error
        except NotConnected as error:
            raise CredentialsAway(error.detail) from error
        return Credential(found.username, found.password, found.push_branch)
