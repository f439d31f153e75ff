"""Use cases of watching: read a timeline, follow it live."""

import uuid
from collections.abc import AsyncGenerator

from pavo.accounts.domain import Identity
from pavo.errors import NotFound
from pavo.kit.sql import Database
from pavo.tasks.service import TaskService
from pavo.tasks.sql import repository
from pavo.timeline import service as timeline
from pavo.timeline.follow import Follower


class WatchService:
    """What people see of a task while it goes on."""

    def __init__(self, database: Database, follower: Follower, tasks: TaskService) -> None:
        self._database = database
        self._follower = follower
        self._tasks = tasks

    async def events(
        self, who: Identity, task_id: uuid.UUID, after: int, limit: int
    ) -> tuple[list[timeline.Event], timeline.Head]:
        """The events after number `after`, and where the timeline stands."""
        await self._tasks.get(who, task_id)
        async with self._database.reading() as session:
            found = await timeline.read_after(session, task_id, after, limit)
            head = await timeline.head(session, task_id)
        assert head is not None
        return found, head

    async def stream(
        self, who: Identity | None, task_id: uuid.UUID, after: int
    ) -> AsyncGenerator[list[tuple[int, bytes]]] | None:
        """Follow the task; None when nothing will come after number `after` (done and all seen, or deleted).

        Args:
            who: None where the task's id is the capability (dev mode).

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            task = await repository.row_or_tombstone(session, task_id)
            head = await timeline.head(session, task_id)
        if task is None or (who is not None and task.organisation_id not in who.organisation_ids):
            raise NotFound(f"There is no task {task_id}.", field="task_id")
        # Of a deleted task the head goes soon after its events.
        if head is None or task.deleted_at is not None or (head.closed and after >= head.last_seq):
            return None
        # Numbers go back when PostgreSQL was restored: who saw a future that is gone begins anew.
        return self._follower.follow(task_id, after if after <= head.last_seq else 0)
