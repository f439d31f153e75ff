"""An agent has a stream again: what waits for it is told, and what its former gateway left pending is failed."""

import asyncio
import logging
import uuid
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from pavo.errors import Unavailable
from pavo.fleet.clients import IDENTITY
from pavo.fleet.work.activities import session_lost
from pavo.jobs.agents import sessions
from pavo.jobs.agents.health import AgentHealth
from pavo.jobs.agents.sessions import HeldJob, OpenSession
from pavo.jobs.contracts import SIGNAL_AGENT_CONNECTED
from pavo.jobs.domain import workflow_id
from pavo.jobs.queue.commands import QueueCommands
from pavo.kit.sql import Database
from pavo.runs.handover import Holder, fail_attempts

logger = logging.getLogger(__name__)

SECONDS: Final = 5.0
"""For what Temporal is asked at the beginning of a session: an agent is not kept waiting for longer."""
FORMER: Final = Holder(lambda name: name.startswith(IDENTITY), session_lost, runs_workflows=False)
"""Whichever gateway holds an activity of an agent whose newest session has just begun, and has no worker yet, holds it
for a session that is over."""


class Reunion:
    """Belongs to one event loop."""

    def __init__(self, database: Database, temporal: Client, health: AgentHealth, queues: QueueCommands) -> None:
        self._database, self._temporal, self._health, self._queues = database, temporal, health, queues
        self._beside: set[asyncio.Task[None]] = set()

    async def fail_former(self, opened: OpenSession) -> None:
        """Fail what gateways hold for former sessions of this agent, dead ones too; before the new one has a worker."""
        try:
            async with asyncio.timeout(SECONDS):
                ids = [workflow_id(each.job_id, each.epoch) for each in await self._held(opened)]
                count = await fail_attempts(self._temporal, ids, FORMER)
        except (TimeoutError, Unavailable) as error:
            logger.info("What former sessions of %s left is left to time-outs: %s", opened.name, error)
        else:
            if count:
                logger.info("%s commands of %s go on here", count, opened.name)

    def begin(self, opened: OpenSession) -> None:
        """Tell the workflows of the agent's jobs that it is here; returns at once."""
        self._do(self._tell(opened))
        self._do(self._health.came(opened.agent_id))

    def end(self, opened: OpenSession) -> None:
        """Its stream has ended, and its row says so; returns at once."""
        self._do(self._health.left(opened.agent_id))

    def tell_queue(self, organisation_id: uuid.UUID | None) -> None:
        """Have the queue that this agent serves looked at; returns at once."""
        self._do(self._queues.look(organisation_id))

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._beside:
            await asyncio.wait(self._beside, timeout=SECONDS)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_told(work))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _held(self, opened: OpenSession) -> Sequence[HeldJob]:
        async with self._database.reading() as reading:
            return await sessions.held_by(reading, opened.agent_id)

    async def _tell(self, opened: OpenSession) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                for held in await self._held(opened):
                    await self._signal(held)
        except (TimeoutError, Unavailable) as error:
            logger.info("The workflows of %s find by themselves that it is here: %s", opened.name, error)
        except Exception:
            logger.exception("The workflows of %s find by themselves that it is here", opened.name)

    async def _signal(self, held: HeldJob) -> None:
        handle = self._temporal.get_workflow_handle(workflow_id(held.job_id, held.epoch))
        try:
            await handle.signal(SIGNAL_AGENT_CONNECTED)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise


async def _told(work: Coroutine[Any, Any, None]) -> None:
    """Nobody waits for it: what goes wrong is in the log, and the second lines make up for it."""
    try:
        await work
    except Exception:
        logger.exception("Something that follows a session was left undone")
