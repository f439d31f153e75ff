"""The second line of runs, in every worker: workflows are told what nobody has told them, and runs change engines.

What it does may be done by several workers at once, and twice: starts have ids that Temporal takes once, each hand-over
names the epoch that it has read, and a look that is not needed changes nothing.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import Final

from pavo.errors import Conflict, LeaseLost, PavoError, Unavailable
from pavo.flows.ledger import due, holding
from pavo.flows.temporal.commands import FlowCommands
from pavo.kit.sql import Database
from pavo.temporal.failures import NoSuchRun

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
SETTLED_SECONDS: Final = 5.0
"""So late the timer of a workflow may be."""
AGAIN_SECONDS: Final = 30.0
"""Before the same workflow is told again."""
FALLS_BACK_AFTER: Final = 30.0
"""Seconds for which Temporal does not take a run before the local engine may have it, where its flow says so."""


class RunWatch:
    """Of a worker.

    Args:
        falls_back_after: see FALLS_BACK_AFTER.
        program: whose runs it watches; None: the workers'.
    """

    def __init__(
        self,
        database: Database,
        commands: FlowCommands,
        falls_back_after: float = FALLS_BACK_AFTER,
        program: str | None = None,
    ) -> None:
        self._database, self._commands, self._program = database, commands, program
        self._falls_back_after = falls_back_after
        self._told: dict[uuid.UUID, float] = {}
        self._refused_until = 0.0
        """Temporal has taken no start lately: it is given nothing back, though it answers. Runs would go to and fro."""

    @property
    def is_refused(self) -> bool:
        """Whether Temporal has not taken a run lately."""
        return asyncio.get_running_loop().time() < self._refused_until

    async def run(self) -> None:
        """Without an end."""
        while True:
            try:
                await self.look()
            except (PavoError, NoSuchRun) as error:
                logger.info("Runs of flows are looked at later: %s", error)
            except Exception:
                logger.exception("Runs of flows are looked at later")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Once.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        async with self._database.reading() as session:
            found = await due.due(session, SETTLED_SECONDS, self._program)
            handing = await due.handing_over(session, self._program)
            fallen = await due.fallen_back(session, self._program)
        if fallen and not self.is_refused and await self._commands.is_there():
            for run_id in fallen:
                await self._give_back(run_id)
        for run_id, epoch in handing:
            await self._complete(run_id, epoch)
        now = asyncio.get_running_loop().time()
        self._told = {run_id: at for run_id, at in self._told.items() if now - at < AGAIN_SECONDS}
        await self._tell_all([each for each in found if each.run_id not in self._told])

    async def _tell_all(self, runs: Sequence[due.DueRun]) -> None:
        """Once Temporal has not answered it is not asked again in this look: each answer would be waited for."""
        away: Unavailable | None = None
        for each in runs:
            try:
                if away is None:
                    await self._tell(each)
            except Unavailable as error:
                away = error
                self._refused_until = asyncio.get_running_loop().time() + self._falls_back_after
            if away is not None and not each.is_begun and each.age_seconds >= self._falls_back_after:
                await self._fall_back(each)
        if away is not None:
            raise away

    async def _tell(self, run: due.DueRun) -> None:
        try:
            if run.is_begun:
                await self._commands.look(run.run_id, run.epoch)
            else:
                await self._commands.start(run.run_id, run.epoch)
        except NoSuchRun:
            logger.info("Run %s has no open workflow; the reconciler says why", run.run_id)
        self._told[run.run_id] = asyncio.get_running_loop().time()

    async def _fall_back(self, run: due.DueRun) -> None:
        """Temporal does not take it for long: a start without a reply is followed by nothing but this."""
        try:
            async with self._database.transaction() as session:
                if await holding.fall_back(session, run.run_id, run.epoch):
                    logger.warning("Run %s begins on the local engine: Temporal is away", run.run_id)
        except (LeaseLost, Conflict) as error:
            logger.info("Run %s stays where it is: %s", run.run_id, error)

    async def _give_back(self, run_id: uuid.UUID) -> None:
        """Temporal is there again: nothing begins on the local engine any more, and what runs there ends."""
        try:
            async with self._database.transaction() as session:
                await holding.begin_hand_over(session, run_id)
        except Conflict as error:
            logger.info("Run %s stays where it is: %s", run_id, error)

    async def _complete(self, run_id: uuid.UUID, epoch: int) -> None:
        try:
            async with self._database.transaction() as session:
                new = await holding.complete_hand_over(session, run_id, epoch)
        except LeaseLost as error:
            logger.info("Run %s: %s", run_id, error)
            return
        if new is not None:
            await self._commands.start(run_id, new)
