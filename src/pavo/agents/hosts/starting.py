"""How an agent's own process begins: what is asked for, and the plain way, a new interpreter for each."""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pavo.agents.code_version import PROTOCOL, CodeVersion
from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.environment import agents_environment
from pavo.agents.contract import AgentContext
from pavo.agents.hosts import wire
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.child_process import Child, ChildProcess


@dataclass(frozen=True, slots=True)
class ChildRequest:
    """A process for an agent."""

    code: CodeVersion
    """What it is to run; agents of one distribution begin from one preloaded process."""
    label: str
    """Begins each line that the process prints."""
    limits: HostLimits


class ChildStarter(Protocol):
    """Starts agents' processes."""

    async def start(self, request: ChildRequest, end: socket.socket) -> Child:
        """Start a process that serves an agent over `end`, which stays the caller's to close.

        Raises:
            OSError: there is no room for another process.
            Unavailable: the code on disk is not what this worker has loaded.
        """
        ...

    def doubt(self, request: ChildRequest) -> None:
        """A process of this agent ended as one that cannot be confined. Where code of the agent's may have said so, the
        next one begins without any."""
        ...


def spawn(request: ChildRequest, end: socket.socket, environment: Mapping[str, str]) -> ChildProcess:
    """Start a new interpreter; call it on a thread that lives as long as the worker.

    Raises:
        OSError: there is no room for another process.
    """
    options = [PROTOCOL, end.fileno(), os.getpid(), request.limits.memory_mb, request.limits.silence_seconds]
    arguments = [sys.executable, "-P", "-m", "pavo.agents.hosts.child_program", *map(str, options)]
    return ChildProcess.spawn(arguments, end, environment, request.label)


class Spawning:
    """A ChildStarter that starts a new interpreter for each agent; it imports the agent's code again each time.

    Args:
        named: see `agents_environment`.
    """

    def __init__(self, named: Sequence[str] = ()) -> None:
        self._named = named

    async def start(self, request: ChildRequest, end: socket.socket) -> Child:
        return spawn(request, end, agents_environment(self._named))

    def doubt(self, request: ChildRequest) -> None:
        """Each of them is confined before it imports anything of its agent."""


def start_message(request: ChildRequest, ctx: AgentContext, confinement: Confinement | None) -> wire.Message:
    """The first message to an agent's process."""
    return {
        "op": "start",
        "target": request.code.target,
        "code": {"fingerprint": request.code.fingerprint, "path": request.code.path},
        "path": sys.path,
        "close_seconds": request.limits.close_seconds,
        "setup_seconds": request.limits.setup_seconds,
        "confinement": None if confinement is None else confinement.dump(),
        "context": wire.dump_context(ctx),
    }
