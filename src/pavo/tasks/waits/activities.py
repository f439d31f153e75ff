"""What becomes of delegated tasks beside the agents: they begin, end with their parent, and tell it of their end.

Each can be repeated. A child begins only once the attempt that delegated it has ended, and what tells of its end comes
after that is recorded: so whoever looks up its outcome finds it, or is woken later.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from temporalio import activity

from pavo.errors import WrongStage
from pavo.kit.sql import Database
from pavo.tasks import domain as d
from pavo.tasks.commands import TaskCommands, run_of
from pavo.tasks.sql import delegations
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.waits import contracts as c
from pavo.temporal.failures import NoSuchRun

logger = logging.getLogger(__name__)

T = TypeVar("T")
AT_ONCE: Final = 8
"""Children that are commanded at the same time."""


class TaskFamily(c.FamilyActivities):
    """Begins and ends delegated tasks."""

    def __init__(self, database: Database, commands: TaskCommands) -> None:
        self._database = database
        self._commands = commands

    @activity.defn(name="begin_children")
    async def begin_children(self, request: c.BeginChildren) -> None:
        """Start those that nobody has started, and go on with those that were stopped with their parent."""
        async with self._database.transaction() as session:
            found = await delegations.to_begin(session, uuid.UUID(request.task_id))
        await _each(found, self._begin)

    async def _begin(self, child: TaskRow) -> None:
        run = run_of(child)
        try:
            if child.stage != d.INIT:
                await self._commands.resume(run)
            elif await self._commands.start(run) is None and not await self._commands.is_open(run):
                # It was ended from outside before it wrote anything: what still works for it is fenced by the second.
                await self._commands.resume(replace(run, generation=1))
        except WrongStage as error:
            logger.info("The delegated task %s has gone on meanwhile: %s", child.id, error)

    @activity.defn(name="run_ended")
    async def run_ended(self, request: c.RunEnded) -> None:
        """Stop what the task has delegated and what still goes on, and tell whoever delegated this task."""
        task_id = uuid.UUID(request.task_id)
        async with self._database.transaction() as session:
            await delegations.pause(session, task_id)
            left = [child for _, child in await delegations.unsettled(session, task_id)]
        await _each(left, self._stop)
        await self._tell(task_id)

    async def _stop(self, child: TaskRow) -> None:
        try:
            await self._commands.signal_stop(run_of(child))
        except NoSuchRun:
            logger.debug("The delegated task %s has no run.", child.id)

    async def _tell(self, child_id: uuid.UUID) -> None:
        async with self._database.reading() as session:
            parent = await delegations.waiting_parent(session, child_id)
        if parent is None:
            return
        try:
            await self._commands.tell_child_over(run_of(parent), child_id)
        except NoSuchRun:
            logger.debug("Task %s waits no more.", parent.id)  # begun again, it looks for itself

    async def mend(self) -> None:
        """The second line: for what a run could not do that was ended from outside, or deleted."""
        async with self._database.reading() as session:
            unnoticed = await delegations.unnoticed(session)
            left = await delegations.left_running(session)
        await _each(unnoticed, self._tell)
        await _each(left, self._stop)


async def _each(found: Sequence[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Do it to all, some at a time; that it failed for one keeps it from no other."""
    some = asyncio.Semaphore(AT_ONCE)

    async def one(each: T) -> None:
        async with some:
            await do(each)

    for failure in await asyncio.gather(*map(one, found), return_exceptions=True):
        if failure is not None:
            raise failure
