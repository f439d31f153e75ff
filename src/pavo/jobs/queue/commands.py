"""What the monitors of queues are told, and how their second line rests and goes on."""

import asyncio
import logging
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from temporalio.client import Client

from pavo.errors import PavoError
from pavo.jobs import domain as d
from pavo.jobs.contracts import SIGNAL_LOOK
from pavo.jobs.queue.workflow import LookAtQueues, QueueMonitor
from pavo.jobs.sql import waiting
from pavo.kit.sql import Database
from pavo.runs.kinds import Periodic
from pavo.runs.schedules import rest_schedule, resume_schedule, schedule_id
from pavo.runs.story import TASK_TIMEOUT
from pavo.runs.workflow_calls import RPC_TIMEOUT
from pavo.temporal.failures import translated

logger = logging.getLogger(__name__)

LINES: Final = Periodic("pavo-queues", LookAtQueues, timedelta(seconds=10))
"""One for all queues of a task queue: what it costs does not grow with the organisations."""
KNOWN_SECONDS: Final = 5.0
"""So long the line counts as going on after it was looked at: who pauses it looks at the queues again afterwards."""
AT_ONCE: Final = 16


class QueueCommands:
    """Tells the monitors, which begin by that; and the second line.

    Args:
        task_queue: on which the monitors run.
    """

    def __init__(self, database: Database, temporal: Client, task_queue: str) -> None:
        self._database = database
        self._temporal = temporal
        self._task_queue = task_queue
        self._line = schedule_id(LINES, task_queue)
        self._known_until = 0.0

    async def look(self, organisation_id: uuid.UUID | None) -> None:
        """Have the monitor of an organisation's queue look at once; None: that of the agents that serve all.

        Never raises for what is away: the second line makes up for it.
        """
        try:
            await self.tell(organisation_id)
        except PavoError as error:
            logger.warning("The queue %s is looked at later: %s", organisation_id or "of all", error)

    async def tell(self, organisation_id: uuid.UUID | None) -> None:
        """As `look`.

        Raises:
            Unavailable: Temporal is away.
        """
        monitor = d.SHARED_QUEUE if organisation_id is None else d.queue_workflow_id(organisation_id)
        with translated():
            await self._temporal.start_workflow(
                QueueMonitor.run,
                None if organisation_id is None else str(organisation_id),
                id=monitor,
                task_queue=self._task_queue,
                task_timeout=TASK_TIMEOUT,
                start_signal=SIGNAL_LOOK,
                rpc_timeout=RPC_TIMEOUT,
            )

    async def tell_all(self, organisation_ids: Iterable[uuid.UUID | None]) -> int:
        """Tell several; how many there were.

        Raises:
            Unavailable: Temporal is away.
        """
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(organisation_id: uuid.UUID | None) -> int:
            async with turns:
                await self.tell(organisation_id)
            return 1

        return sum(await asyncio.gather(*(one(each) for each in organisation_ids)))

    async def jobs_wait(self) -> None:
        """Jobs are left in a queue: the second line goes on, if anybody is there who could get them.

        Never raises for what is away: the reconciler's round makes up for it.
        """
        if asyncio.get_running_loop().time() < self._known_until:
            return
        try:
            await self._go_on_if_needed()
        except PavoError as error:
            logger.warning("The second line of the queues goes on later: %s", error)

    async def resume_line(self, organisation_id: uuid.UUID | None) -> None:
        """An agent has come: its queue is looked at, and the second line goes on where jobs wait.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        await self.tell(organisation_id)
        await self._go_on_if_needed()

    async def rest_line(self, organisation_id: uuid.UUID | None) -> None:
        """No agent of this organisation is left: the line rests if nobody is left who could get anything.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        await self.rest_if_idle()

    async def rest_if_idle(self) -> bool:
        """Have the second line rest where no job waits, or nobody is there for those that do; whether it does.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        if await waiting.line_is_needed(self._database):
            return False
        self._known_until = 0.0
        await rest_schedule(self._temporal, self._line, "no job waits for an agent that is connected.")
        return not await self._go_on_if_needed()  # a job or an agent may have come before it was paused

    async def _go_on_if_needed(self) -> bool:
        if not await waiting.line_is_needed(self._database):
            return False
        await resume_schedule(self._temporal, self._line)
        self._known_until = asyncio.get_running_loop().time() + KNOWN_SECONDS
        return True
