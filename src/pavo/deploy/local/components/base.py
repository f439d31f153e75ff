"""What the supervisor asks of whatever runs behind a part."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pavo.deploy.local.machine.ports import LOOPBACK
from pavo.deploy.local.machine.processes import Launch

FOREIGN = ("DATABASE_", "REDIS_", "TEMPORAL_", "PG", "PYTHONDONTWRITEBYTECODE")
"""Variables of a shell that is set up for other services (another database, Temporal Cloud) stay outside. And parts may
cache their bytecode, without which each start takes seconds longer."""


def inherited() -> dict[str, str]:
    """Our environment without what it says of other services."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


@dataclass(frozen=True, slots=True)
class Options:
    """What people choose for the processes on this machine."""

    port: int = 8000
    workers: int = 1
    apis: int = 1
    """API processes that share the port (Linux)."""
    ephemeral: bool = False
    """Throw-away data: the stores do not wait for the disk."""
    allow_file_origin: bool = False
    spare_worker: bool = False
    """Whether one more process waits to replace a worker that dies."""


class Component(Protocol):
    """One part's process on this machine."""

    @property
    def address(self) -> str:
        """host:port that it listens on; empty when it does not."""
        ...

    @property
    def stop_signal(self) -> int | None:
        """What asks it to end, if not the part's own signal."""
        ...

    def prepare(self) -> None:
        """Before each start; on a thread. An interrupted one is begun again."""
        ...

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """How to start the process `name`; `extra` environment is for it alone."""
        ...

    async def answers(self) -> bool:
        """Whether it answers; never asked of a part that announces itself."""
        ...

    async def settle(self) -> None:
        """When it answers for the first time, before others use it."""
        ...


class Simple:
    """What most components have in common."""

    address = ""
    stop_signal: int | None = None

    def prepare(self) -> None:
        """Nothing to prepare."""

    async def answers(self) -> bool:
        """It announces itself."""
        return True

    async def settle(self) -> None:
        """Nothing to settle."""


def at(port: int) -> str:
    """host:port on loopback."""
    return f"{LOOPBACK}:{port}"
