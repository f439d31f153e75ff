"""The workers of Temporal that take the commands of this gateway's agents: one for each session, up to a number of
them; beyond it one for all."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import Worker

from pavo import __version__
from pavo.fleet.work.activities import FleetActivities
from pavo.jobs.agents.sessions import OpenSession
from pavo.temporal.activities import implementations

logger = logging.getLogger(__name__)

MAX_WORKERS: Final = 200
"""Each costs 0.4 MB here, 1.5 MB and two long polls at Temporal (decision 71)."""
AT_ONCE: Final = 250
"""Activities of one agent: its commands, cancellations and greetings."""
AT_ONCE_IN_ALL: Final = 10_000
HEARTBEAT: Final = timedelta(seconds=5)
"""So often at most Temporal is told of signs of work."""
SHUTDOWN_SECONDS: Final = 20.0


class AgentWorkers:
    """Belongs to one event loop.

    Args:
        gateway_id: of this process.
    """

    def __init__(self, temporal: Client, activities: FleetActivities, gateway_id: uuid.UUID) -> None:
        self._temporal = temporal
        self._activities: list[Callable[..., Any]] = list(implementations(activities))
        self._own: dict[str, tuple[Worker, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.shared_queue: Final = f"gateway-{gateway_id}"
        """The queue of the sessions that have none of their own."""
        self._taken: set[str] = set()

    def queue_of(self, agent_id: uuid.UUID, number: int) -> str:
        """The queue of a session that begins now."""
        return self.shared_queue if len(self._own) >= MAX_WORKERS else f"agent-{agent_id}-{number}"

    def start(self) -> None:
        """Take the commands of the shared queue."""
        self._begin(self.shared_queue, AT_ONCE_IN_ALL, polls=5)

    def begin(self, opened: OpenSession) -> None:
        """Take the commands of a session."""
        if opened.queue != self.shared_queue:
            self._begin(opened.queue, AT_ONCE, polls=2)

    def end(self, opened: OpenSession) -> None:
        """Take no more commands of a session; returns at once."""
        if opened.queue != self.shared_queue:
            self._end(opened.queue)

    async def close(self) -> None:
        """End all of them, and wait for it: Temporal's client may be gone only after."""
        for queue in list(self._own):
            self._end(queue)
        if self._ending:
            await asyncio.gather(*self._ending)

    def _begin(self, queue: str, at_once: int, *, polls: int) -> None:
        worker = Worker(
            self._temporal,
            task_queue=queue,
            build_id=f"pavo-{__version__}",
            activities=self._activities,
            max_concurrent_activities=at_once,
            max_concurrent_activity_task_polls=polls,
            max_heartbeat_throttle_interval=HEARTBEAT,
            default_heartbeat_throttle_interval=HEARTBEAT,
            graceful_shutdown_timeout=timedelta(seconds=2),
        )
        self._own[queue] = worker, asyncio.create_task(self._run(queue, worker), name=queue)

    async def _run(self, queue: str, worker: Worker) -> None:
        try:
            await worker.run()
        except Exception:
            logger.exception("The worker of %s has ended", queue)

    def _end(self, queue: str) -> None:
        found = self._own.pop(queue, None)
        if found is not None:
            task = asyncio.create_task(self._shut_down(queue, *found), name=f"end of {queue}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    @staticmethod
    async def _shut_down(queue: str, worker: Worker, running: "asyncio.Task[None]") -> None:
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await worker.shutdown()
                await running
        except TimeoutError:
            logger.warning("The worker of %s does not end", queue)
        except Exception:
            logger.exception("The worker of %s did not end in order", queue)
