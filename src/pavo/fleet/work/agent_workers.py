"""The workers of Temporal that take the commands of this gateway's agents: one for each session, up to a number of
them; beyond it one for all."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import ServiceClient
from temporalio.worker import Worker

from pavo import __version__
from pavo.fleet.work.activities import FleetActivities
from pavo.jobs.agents.sessions import OpenSession
from pavo.runs.workflow_calls import RPC_TIMEOUT
from pavo.temporal.activities import implementations

logger = logging.getLogger(__name__)

AT_ONCE: Final = 250
"""Activities of one agent: its commands, cancellations and greetings."""
AT_ONCE_IN_ALL: Final = 10_000
HEARTBEAT: Final = timedelta(seconds=5)
"""So often at most Temporal is told of signs of work."""
SHUTDOWN_SECONDS: Final = 20.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between the end of a worker by an error and its next beginning: doubled each time, up to this."""


def pause_after(failures: int) -> float:
    """Seconds until a worker that has ended by an error begins again.

    Args:
        failures: in a row, 1 or more.
    """
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))


class QueueWorker:
    """Takes what is on one queue until it is ended; a worker that ends by an error is followed by another one.

    Args:
        make: a new worker of a client's; each runs once.
        client: takes one worker for each queue, and lets go of it only where that could begin. After one that could
            not, another connection to the same server is opened.
        answers: raises where Temporal does not answer. No worker is made then.
    """

    def __init__(
        self,
        queue: str,
        make: Callable[[Client], Worker],
        client: Client,
        answers: Callable[[], Awaitable[object]],
    ) -> None:
        self._queue, self._make, self._client, self._answers = queue, make, client, answers
        self._over = asyncio.Event()
        self._worker: Worker | None = None
        self._running = asyncio.create_task(self._run(), name=queue)

    async def end(self) -> None:
        """Take nothing more, and wait until what was begun has ended.

        Raises:
            TimeoutError: it does not end.
        """
        self._over.set()
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                if self._worker is not None:
                    await self._worker.shutdown()
                await self._running
        finally:
            self._running.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._over.is_set():
            begun = loop.time()
            try:
                await self._answers()
                if self._over.is_set():
                    return  # it was ended meanwhile: a worker that begins now would be ended by nobody
                if self._worker is not None and not _has_begun(self._worker):
                    self._client = await _connected_anew(self._client)
                self._worker = self._make(self._client)
                await self._worker.run()
            except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # a panic of Temporal's library is no Exception
                failures = 1 if loop.time() - begun > LONGEST_PAUSE else failures + 1
                seconds = pause_after(failures)
                logger.exception("The worker of %s has ended; it begins again in %g s", self._queue, seconds)
                await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()


def _has_begun(worker: Worker) -> bool:
    """Whether it has ever run; `is_shutdown` is true of one that could not begin as well."""
    return worker._started  # pyright: ignore[reportPrivateUsage]


async def _connected_anew(client: Client) -> Client:
    """The same client, on a connection of its own.

    Raises:
        RuntimeError: Temporal does not answer.
    """
    config = client.config()
    config["service_client"] = await ServiceClient.connect(client.service_client.config)
    return Client(**config)


class AgentWorkers:
    """Belongs to one event loop.

    Args:
        gateway_id: of this process.
        most: sessions with a queue of their own; each costs 0.4 MB here, 1.5 MB and two long polls at Temporal
            (decision 71).
    """

    def __init__(self, temporal: Client, activities: FleetActivities, gateway_id: uuid.UUID, most: int = 200) -> None:
        self._temporal = temporal
        self._activities: list[Callable[..., Any]] = list(implementations(activities))
        self._most = most
        self._own: dict[str, QueueWorker] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.shared_queue: Final = f"gateway-{gateway_id}"
        """The queue of the sessions that have none of their own."""

    def queue_of(self, agent_id: uuid.UUID, number: int) -> str:
        """The queue of a session that begins now."""
        own = len(self._own.keys() - {self.shared_queue})
        return self.shared_queue if own >= self._most else f"agent-{agent_id}-{number}"

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
        def make(client: Client) -> Worker:
            return Worker(
                client,
                task_queue=queue,
                build_id=f"pavo-{__version__}",
                activities=self._activities,
                max_concurrent_activities=at_once,
                max_concurrent_activity_task_polls=polls,
                max_heartbeat_throttle_interval=HEARTBEAT,
                default_heartbeat_throttle_interval=HEARTBEAT,
                graceful_shutdown_timeout=timedelta(seconds=2),
            )

        self._own[queue] = QueueWorker(queue, make, self._temporal, self._answers)

    async def _answers(self) -> None:
        """Raises RPCError where Temporal is away, or does not know the namespace."""
        request = DescribeNamespaceRequest(namespace=self._temporal.namespace)
        await self._temporal.workflow_service.describe_namespace(request, timeout=RPC_TIMEOUT)

    def _end(self, queue: str) -> None:
        found = self._own.pop(queue, None)
        if found is not None:
            task = asyncio.create_task(self._shut_down(queue, found), name=f"end of {queue}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    @staticmethod
    async def _shut_down(queue: str, worker: QueueWorker) -> None:
        try:
            await worker.end()
        except TimeoutError:
            logger.warning("The worker of %s does not end", queue)
        except Exception:
            logger.exception("The worker of %s did not end in order", queue)
