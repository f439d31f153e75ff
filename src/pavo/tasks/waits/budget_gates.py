"""Use case: have tasks look again that wait for a budget that was set meanwhile, or whose period is over.

Each may be repeated, break off anywhere, or be left to the second line: the answer is kept before a run takes it.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pavo.errors import OutcomeUnknown, Unavailable, WrongStage
from pavo.kit.sql import Database
from pavo.tasks.commands import TaskCommands, run_of
from pavo.tasks.sql import repository
from pavo.temporal.failures import NoSuchRun
from pavo.usage import overtaken

logger = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""Tasks that are told at the same time."""
SECONDS_OF_A_REQUEST: Final = 3.0
"""Whoever sets a budget waits no longer for them; the second line goes on."""
SECONDS_OF_A_ROUND: Final = 30.0


class BudgetGates:
    """Closes what is asked about budgets, where nobody needs to answer it any more. See `usage.service.LooksAgain`."""

    def __init__(self, database: Database, commands: TaskCommands) -> None:
        self._database = database
        self._commands = commands

    async def look_again(self, organisation_id: uuid.UUID, by: str) -> None:
        """Somebody has changed a budget of this organisation."""
        async with self._database.reading() as session:
            found = await overtaken.overtaken(session, organisation_id, timedelta())
        await self._close(found, overtaken.SET.format(by=by), SECONDS_OF_A_REQUEST)

    async def go_on(self) -> None:
        """The second line, over all organisations."""
        async with self._database.reading() as session:
            found = await overtaken.overtaken(session)
        await self._close(found, overtaken.CHANGED, SECONDS_OF_A_ROUND)

    async def _close(self, found: Sequence[uuid.UUID], note: str, seconds: float) -> None:
        some = asyncio.Semaphore(AT_ONCE)

        async def one(gate_id: uuid.UUID) -> None:
            async with some:
                await self._close_one(gate_id, note)

        # What is cut is closed all the same, or in the next round: nothing of one keeps the others waiting for ever.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*map(one, found))

    async def _close_one(self, gate_id: uuid.UUID, note: str) -> None:
        try:
            proposed = await overtaken.propose(self._database, gate_id, note)
            if proposed is None:
                return
            gate, answer_id = proposed
            async with self._database.reading() as session:
                task = await repository.row_or_tombstone(session, gate.subject_id)
            if task is not None and task.deleted_at is None:
                await self._commands.answer_gate(run_of(task), gate_id, answer_id)
        except (OutcomeUnknown, Unavailable, WrongStage, NoSuchRun) as error:
            logger.info("The question %s about a budget waits on: %s", gate_id, error)
