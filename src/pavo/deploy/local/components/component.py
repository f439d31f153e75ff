"""What the supervisor asks of whatever runs behind a part.

Components ask the stores by `probes`, whose clients take a second to import. They import it where they ask, and the
supervisor before that, on a thread: meanwhile the stores start.
"""

import importlib
import os
from collections.abc import Mapping
from typing import Protocol

from pavo.deploy.local.liveness import Greeting
from pavo.deploy.local.machine.part_process import Launch

FOREIGN = ("DATABASE_", "REDIS_", "TEMPORAL_", "PG", "PYTHONDONTWRITEBYTECODE")
"""Variables that parts do not inherit: a shell may be set up for other services (another database, Temporal Cloud), and
parts must cache their bytecode, or each start takes seconds longer."""


def import_probes() -> None:
    """Import what the stores are asked by; on a thread."""
    importlib.import_module("pavo.deploy.local.components.probes")


def inherited_environment() -> dict[str, str]:
    """Our environment without `FOREIGN`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


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

    @property
    def greeting(self) -> Greeting:
        """What it answers at `address` in every state that it can be in (see `liveness`); empty where its silence
        cannot be told."""
        ...

    def prepare(self) -> None:
        """Called before each start, on a thread. It may be interrupted and then called again."""
        ...

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """How to start the process `name`; `extra` environment is for it alone."""
        ...

    async def answers(self) -> bool:
        """Whether it answers; never asked of a part that announces itself."""
        ...

    async def settle(self) -> None:
        """Called when it answers for the first time, before others use it."""
        ...


class PlainComponent:
    """What most components have in common."""

    address = ""
    stop_signal: int | None = None
    greeting: Greeting = b""

    def prepare(self) -> None:
        """Nothing to prepare."""

    async def answers(self) -> bool:
        """It announces itself."""
        return True

    async def settle(self) -> None:
        """Nothing to settle."""
