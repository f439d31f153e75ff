"""The worker's side of confinement: which level holds here, and a folder for each task."""

import asyncio
import logging
import sys
import uuid
from dataclasses import dataclass
from typing import Literal

from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.levels import Level, off, probe
from pavo.agents.confinement.task_folders import TaskFolders
from pavo.errors import AgentRefused

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConfinementRules:
    """What an operator wants of it."""

    mode: Literal["available", "required", "off"] = "available"
    readable: tuple[str, ...] = ()
    """Files and folders that agents may read beside."""
    writable: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    """Folders that no agent reads, also where something that it reads holds them."""


class Confining:
    """Confines agents' processes as well as this machine can. Use it on one event loop."""

    def __init__(self, folders: TaskFolders, rules: ConfinementRules) -> None:
        self.folders = folders
        self._rules = rules
        self._private = (*rules.private, str(folders.root))
        self._level: asyncio.Task[Level] | None = None

    def begin(self) -> None:
        """Find out which level holds, and log it, before the first agent waits for it."""
        self._level = self._level or asyncio.create_task(self._find())

    async def level(self) -> Level:
        """Which level holds."""
        self.begin()
        assert self._level is not None
        return await asyncio.shield(self._level)

    async def of(self, task_id: uuid.UUID) -> Confinement:
        """What an attempt of this task is confined to; its folder is there.

        Raises:
            AgentRefused: the operator demands more than this machine can.
            OSError: the folder cannot be made.
        """
        level = await self.level()
        if self._rules.mode == "required" and level.name == "none":
            raise AgentRefused(
                f"This worker runs no isolated agent: it cannot confine them ({level.detail}), "
                "and PAVO_AGENT_CONFINEMENT=required.",
                field="PAVO_AGENT_CONFINEMENT",
                remedy="Run workers on Linux 5.13 or later with Landlock, or set PAVO_AGENT_CONFINEMENT=available; "
                "then resume the task.",
            )
        lists = {"readable": self._rules.readable, "writable": self._rules.writable, "private": self._private}
        return Confinement(str(self.folders.make(task_id)), landlock=level.name == "landlock", **lists)

    async def close(self) -> None:
        """Wait for what was begun."""
        if self._level is not None:
            await asyncio.wait({self._level})

    async def _find(self) -> Level:
        if self._rules.mode == "off":
            level = off()
        else:
            level = await asyncio.to_thread(probe, self.folders, list(sys.path), self._private)
        if level.name == "landlock":
            logger.info("Isolated agents are %s.", level.words)
        else:
            logger.warning("Isolated agents are %s.", level.words)
        return level
