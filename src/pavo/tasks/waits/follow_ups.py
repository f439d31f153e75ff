"""Use case: have a run take what was said to a task that is done.

What was said is kept before, so this may be repeated, break off anywhere, or be left to the second line.
"""

import asyncio
import contextlib
import logging
import uuid
from datetime import timedelta
from typing import Final

from pavo.errors import Conflict, OutcomeUnknown, Stopping, Unavailable, WrongStage
from pavo.kit.sql import Database
from pavo.tasks import domain as d
from pavo.tasks.commands import TaskCommands, run_of
from pavo.tasks.sql import repository
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.sql.transitions import follow_up

logger = logging.getLogger(__name__)

TRIES: Final = 40
PAUSE_SECONDS: Final = 0.05
"""The run that showed DONE is open for a moment still, and the next one begins when it is closed."""
SETTLED_AFTER: Final = timedelta(seconds=10)
"""What was said more lately is perhaps being taken."""

AT_ONCE: Final = 8
"""Tasks that the second line begins at the same time."""
ROUND_SECONDS: Final = 30.0
"""For all of them."""


class FollowUps:
    """Begins the next generation of tasks that are done and were followed up."""

    def __init__(self, database: Database, commands: TaskCommands) -> None:
        self._database = database
        self._commands = commands

    async def begin(self, task_id: uuid.UUID) -> bool:
        """Start a run that takes what was said, unless one did; whether none waits any more.

        False where no worker has taken it in time, or Temporal is away: the second line tries again.
        """
        try:
            for _ in range(TRIES):
                if await self._taken(task_id):
                    return True
                await asyncio.sleep(PAUSE_SECONDS)
        except (OutcomeUnknown, Unavailable, WrongStage, Conflict) as error:
            logger.info("What was said to task %s waits: %s", task_id, error)
        return False

    async def _taken(self, task_id: uuid.UUID) -> bool:
        task = await self._waiting(task_id)
        if task is None:
            return True
        try:
            # "Running" is the answer of a run of before that does not know of its end yet.
            await self._commands.resume(run_of(task))
        except Stopping:
            logger.debug("The run of task %s is just ending", task_id)
        return await self._waiting(task_id) is None

    async def _waiting(self, task_id: uuid.UUID) -> TaskRow | None:
        async with self._database.reading() as session:
            task = await repository.row_or_tombstone(session, task_id)
            if task is None or task.deleted_at is not None or task.stage != d.DONE:
                return None
            return task if await follow_up.pending(session, task_id) is not None else None

    async def go_on(self) -> None:
        """The second line: for whoever kept what was said, and could not begin it."""
        async with self._database.reading() as session:
            found = await follow_up.left_waiting(session, SETTLED_AFTER)
        some = asyncio.Semaphore(AT_ONCE)

        async def one(task_id: uuid.UUID) -> None:
            async with some:
                await self.begin(task_id)

        # What is cut begins all the same, or in the next round: nothing of one keeps the others waiting for ever.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROUND_SECONDS):
                await asyncio.gather(*map(one, found))
