"""Removes the folders of deleted tasks from this machine, also those that dead workers have left."""

import asyncio
import logging
from itertools import islice
from typing import Final

from pavo.agents.confinement.task_folders import TaskFolders
from pavo.errors import Unavailable
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread
from pavo.tasks.sql.removal import deleted_among

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 15.0
_AT_ONCE: Final = 1000
"""Tasks of one question."""


async def remove_folders(database: Database, folders: TaskFolders) -> None:
    """One round. Only what this database says to be deleted goes: workers of others may share the folder.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    left = iter(await call_in_thread("folder-removal", folders.tasks))
    while page := list(islice(left, _AT_ONCE)):
        for task_id in await deleted_among(database, page):
            if not await call_in_thread("folder-removal", folders.remove, task_id):
                logger.warning("The folder of task %s, which was deleted, cannot be removed yet.", task_id)


async def keep_removing_folders(database: Database, folders: TaskFolders) -> None:
    """Round after round, until it is cancelled."""
    while True:
        try:
            await remove_folders(database, folders)
        except Unavailable as error:
            logger.info("Folders of deleted tasks are kept for now: %s", error)
        except Exception:
            logger.exception("Folders of deleted tasks cannot be removed.")
        await asyncio.sleep(EVERY_SECONDS)
