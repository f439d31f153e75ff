"""How an agent's own process begins: what is asked for, and the plain way, a new interpreter for each."""

import os
import socket
import sys
from dataclasses import dataclass
from typing import Protocol

from pavo.agents.code_version import PROTOCOL, CodeVersion
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.child_process import Child, ChildProcess

PAVO_VARIABLES = frozenset(
    (
        "DATABASE_URL",
        "PAVO_READY_FD",
        "PAVO_SECRET_KEY",
        "PAVO_TEMPORAL_CODEC_KEY",
        "PAVO_TEMPORAL_CODEC_FORMER_KEYS",
        "PAVO_TEMPORAL_DATABASE_URL",
        "PAVO_TOKEN",
        "PGPASSWORD",
        "REDISCLI_AUTH",
        "REDIS_URL",
        "TEMPORAL_API_KEY",
        "TEMPORAL_TLS_CLIENT_KEY_DATA",
        "TEMPORAL_TLS_CLIENT_KEY_PATH",
    )
)
"""Environment variables of Pavo alone, mostly secrets: agents get the rest, for example their provider's API key."""


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


def agents_environment() -> dict[str, str]:
    """What agents' processes have in their environment."""
    return {name: value for name, value in os.environ.items() if name not in PAVO_VARIABLES}


def spawn(request: ChildRequest, end: socket.socket) -> ChildProcess:
    """Start a new interpreter; call it on a thread that lives as long as the worker.

    Raises:
        OSError: there is no room for another process.
    """
    options = [PROTOCOL, end.fileno(), os.getpid(), request.limits.memory_mb, request.limits.silence_seconds]
    arguments = [sys.executable, "-P", "-m", "pavo.agents.hosts.child_program", *map(str, options)]
    return ChildProcess.spawn(arguments, end, agents_environment(), request.label)


class Spawning:
    """A ChildStarter that starts a new interpreter for each agent; it imports the agent's code again each time."""

    async def start(self, request: ChildRequest, end: socket.socket) -> Child:
        return spawn(request, end)
