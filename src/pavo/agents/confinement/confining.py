"""The worker's side of confinement: which level holds here, and a folder for each task."""

import asyncio
import logging
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Final

from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.levels import Level, Wanted, probe
from pavo.agents.confinement.task_folders import TaskFolders, default_root
from pavo.config import AgentSettings
from pavo.errors import AgentRefused
from pavo.kit.threads.calls import call_in_thread

logger = logging.getLogger(__name__)

REMEDY: Final = (
    "Run workers on Linux 5.13 or later with Landlock (for users of their own as root, with Python, packages and "
    "PAVO_AGENT_FOLDERS where all users reach them), or set PAVO_AGENT_CONFINEMENT=available"
)


class Confining:
    """Confines agents' processes as well as this machine can. Use it on one event loop."""

    def __init__(self, folders: TaskFolders, wanted: Wanted) -> None:
        self.folders = folders
        self._wanted = replace(wanted, private=(*wanted.private, str(folders.root)))
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
        """What an attempt of this task is confined to; its folder is there, until `folders.leave` is called.

        Raises:
            AgentRefused: the operator demands more than this machine can.
            OSError: the folder cannot be made.
        """
        level, mode = await self.level(), self._wanted.mode
        if not level.meets(mode):
            raise AgentRefused(
                f"This worker runs no isolated agent: it does not confine them as PAVO_AGENT_CONFINEMENT={mode} "
                f"demands ({level.missing}).",
                field="PAVO_AGENT_CONFINEMENT",
                remedy=f"{REMEDY}; then resume the task.",
            )
        folder = await self.hold(task_id)
        return self._wanted.confinement(folder, landlock=bool(level.landlock), user=bool(level.users))

    async def hold(self, task_id: uuid.UUID) -> Path:
        """The task's folder, which is there until `folders.leave` is called.

        Raises:
            OSError: it cannot be made.
        """
        level = await self.level()
        return self.folders.hold(task_id, self._wanted.uids if level.users else None)

    async def close(self) -> None:
        """Wait for what was begun."""
        if self._level is not None:
            await asyncio.wait({self._level})

    async def _find(self) -> Level:
        level = await call_in_thread("confinement", probe, self.folders, list(sys.path), self._wanted)
        say = logger.warning if level.name == "none" else logger.info
        say("Isolated agents are %s.", level.words)
        return level


def wanted_confinement(settings: AgentSettings) -> tuple[Wanted, Path]:
    """What these settings want of it, and where tasks have their folders."""
    private = (str(settings.data_dir),) if settings.data_dir else ()
    lists = (settings.readable, settings.writable, private)
    wanted = Wanted(settings.confinement, *lists, settings.uid_range)
    return wanted, settings.folders or default_root(settings.data_dir, apart=wanted.users_possible)
