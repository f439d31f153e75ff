"""Who may watch a task; how it is watched is in `timeline/watching`."""

import uuid

from pavo.accounts.domain import Identity
from pavo.kit.sql import Database
from pavo.tasks.service import unknown_task
from pavo.tasks.sql import repository
from pavo.timeline.domain import Subject


class WatchedTasks:
    """The tasks as subjects of timelines: also those that were deleted, whose streams end instead of being unknown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, who: Identity | None, task_id: uuid.UUID) -> Subject:
        """The task, if they may watch it.

        Args:
            who: None where the task's id is the capability (dev mode).

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            task = await repository.row_or_tombstone(session, task_id)
        if task is None or (who is not None and task.organisation_id not in who.organisation_ids):
            raise unknown_task(task_id)
        return Subject(task_id, deleted=task.deleted_at is not None)
