"""Group commit: steps of several tasks that wait at the same time are recorded in one statement."""

import asyncio
import logging
import time
from collections.abc import Sequence

import psycopg

from pavo.errors import AgentRefused, LeaseLost, Unavailable
from pavo.kit.cancellation import KeptRunning
from pavo.kit.sql import Database, KeptConnection
from pavo.observe import metrics
from pavo.tasks.sql.steps import Recorded, StepRecord, record_steps
from pavo.timeline.domain import numbered
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)

MAX_GROUP = 200
"""Steps of one statement at most."""
MAX_GROUP_MESSAGES = 8_000_000
"""Characters of their messages, one step's aside: a statement is held as a whole, on both sides."""


class StepRecorder:
    """Records steps. While one group is being committed, the next one gathers; nobody waits for company.

    Belongs to the event loop that calls `start`.
    """

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._connection = KeptConnection(database)
        self._publisher = publisher
        self._waiting: list[tuple[StepRecord, asyncio.Future[Recorded]]] = []
        self._wake = asyncio.Event()
        self._task: KeptRunning | None = None

    def start(self) -> None:
        """Begin recording on the running event loop."""
        self._task = KeptRunning(self._run, "step-recorder")

    async def close(self) -> None:
        """Stop; what still waits is cancelled and was not recorded."""
        if self._task is not None:
            await self._task.end()
        await self._connection.close()
        for _, future in self._waiting:
            future.cancel()

    async def record(self, record: StepRecord) -> Recorded:
        """Returns once the step is durable and its events are on their way to the viewers.

        Raises:
            LeaseLost: a newer attempt took over; nothing was written.
            Unavailable: PostgreSQL went away; whether the step was recorded, the next lease will tell.
            AgentRefused: PostgreSQL cannot store what the step holds.
        """
        future: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        self._wake.set()
        return await future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            count = self._fitting()
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            if not self._waiting:
                self._wake.clear()
            if group:
                try:
                    await self._commit(group)
                except asyncio.CancelledError:
                    # Whether it was recorded, the next lease will tell; who waits here must not wait for ever.
                    self._fail(group, Unavailable("The commit of a checkpoint was cut.", dependency="postgres"))
                    raise

    def _fitting(self) -> int:
        """How many of those that wait fit into one statement."""
        size = 0
        for number, (record, _) in enumerate(self._waiting[:MAX_GROUP]):
            if record.messages:
                size += sum(map(len, record.messages))
                if number and size > MAX_GROUP_MESSAGES:
                    return number
        return MAX_GROUP

    async def _commit(self, group: Sequence[tuple[StepRecord, "asyncio.Future[Recorded]"]]) -> None:
        began = time.perf_counter()
        try:
            recorded = await record_steps(self._connection, [record for record, _ in group])
        except (psycopg.DataError, TypeError, ValueError, RecursionError) as error:
            if len(group) > 1:
                # One step that cannot be written, or that PostgreSQL cannot store, must not harm the others.
                for single in group:
                    await self._commit([single])
                return
            logger.warning("A step cannot be stored.", exc_info=error)
            why = "PostgreSQL takes no such value" if isinstance(error, psycopg.Error) else f"{error}"
            self._fail(group, AgentRefused(f"This step cannot be stored: {why}."))
            return
        except Exception as error:  # noqa: BLE001 - raised where it is waited for; the recorder itself goes on
            self._fail(group, error)
            return
        metrics.COMMIT_SECONDS.observe(time.perf_counter() - began)
        for record, future in group:
            self._answer(record, future, recorded.get((record.task_id, record.epoch)))

    def _answer(self, record: StepRecord, future: "asyncio.Future[Recorded]", answer: Recorded | None) -> None:
        if answer is None:
            metrics.LEASES_LOST.add()
        else:
            metrics.STEPS.add()
            metrics.TRANSCRIPT_MESSAGES.add(by=len(record.messages))
            self._publisher.publish(numbered(record.task_id, answer.first_seq, answer.at, record.events))
        if future.done():
            return
        if answer is None:
            future.set_exception(LeaseLost(f"Epoch {record.epoch} of task {record.task_id} is over."))
        else:
            future.set_result(answer)

    @staticmethod
    def _fail(group: Sequence[tuple[StepRecord, "asyncio.Future[Recorded]"]], error: Exception) -> None:
        for _, future in group:
            if not future.done():
                future.set_exception(error)
