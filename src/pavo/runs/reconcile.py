"""The second line: rows that say they run, and whose workflows do not, are explained."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from redis.asyncio import Redis
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus

from pavo.errors import PavoError, Unavailable
from pavo.kit.cancellation import end
from pavo.kit.subscription import REDIS_AWAY
from pavo.runs.kinds import Kind, Periodic, Rows, RunningRow
from pavo.runs.reconcile_workflow import ReconcileActivities, ReconcileRuns
from pavo.temporal.failures import NoSuchRun, translated

logger = logging.getLogger(__name__)

SETTLED_AFTER = timedelta(seconds=10)
"""A row younger than this may just be between two writes of its workflow."""
ROUNDS = Periodic("pavo-reconcile", ReconcileRuns, timedelta(minutes=10))
"""What is lost is found within a minute by the workers' own rounds (`ReconcileRounds`). These 144 workflows a day are
for workers of a build that has none, and for whatever keeps them away."""
EVERY: Final = timedelta(seconds=55)
"""After the beginning of a round the next one is due. With `TRY_SECONDS` that is a minute at most."""
TRY_SECONDS: Final = 5.0
"""Between two looks of a worker whether a round is due."""
LONGEST_SECONDS: Final = 300.0
"""Of a round; the next one repeats whatever it did not finish."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a row that says it runs does not."""

    cause: str
    remedy: str


class Reconciler(ReconcileActivities):
    """Compares the rows of every kind with Temporal's workflows.

    Args:
        kinds: each with its rows.
    """

    def __init__(self, kinds: Sequence[tuple[Kind, Rows]], temporal: Client) -> None:
        self._kinds = kinds
        self._temporal = temporal

    @activity.defn(name="reconcile_runs")
    async def reconcile_runs(self) -> int:
        """Repair or explain every disagreement of every kind, and remove what is left of what was deleted; answers how
        many disagreements there were.

        A kind that cannot be compared keeps no other from it; its error is raised at the end.
        """
        failures: list[Exception] = []
        found = await self._compare_all(failures)
        for kind, rows in self._kinds:
            try:
                await rows.go_on()
            except Exception as error:
                logger.exception("Cannot remove what is left of deleted %ss", kind.noun)
                failures.append(error)
        if failures:
            raise failures[0]
        return found

    async def compare(self) -> int:
        """Only compare: for an API that starts, and must not wait for anything else.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        failures: list[Exception] = []
        found = await self._compare_all(failures)
        if failures:
            raise failures[0]
        return found

    async def _compare_all(self, failures: list[Exception]) -> int:
        found = 0
        for kind, rows in self._kinds:
            try:
                found += await self._compare(kind, rows)
            except Exception as error:
                logger.exception("Cannot compare the %ss with their workflows", kind.noun)
                failures.append(error)
        return found

    async def _compare(self, kind: Kind, rows: Rows) -> int:
        open_ids = await self.open_workflows(kind)
        found = 0
        async for row in rows.running(SETTLED_AFTER):
            if row.workflow_id not in open_ids:
                found += await self.repair(kind, rows, row)
        return found

    async def repair(self, kind: Kind, rows: Rows, row: RunningRow) -> bool:
        """Whether it was lost, and is explained now. One that cannot be explained keeps no other from it.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        try:
            lost = await self.lost(kind, row)
            if lost is None or not await rows.explain(row, lost.cause, lost.remedy):
                return False
        except Unavailable:
            raise
        except Exception:
            logger.exception("%s %s says %s, and cannot be compared", kind.noun, row.subject_id, row.stage)
            return False
        logger.error("%s %s said %s without a workflow: %s", kind.noun, row.subject_id, row.stage, lost.cause)
        return True

    async def open_workflows(self, kind: Kind) -> set[str]:
        """Ids that Temporal lists as running: a hint that spares asking for each of many.

        Raises:
            Unavailable: Temporal is away.
        """
        query = f"WorkflowType = '{kind.type_name}' AND ExecutionStatus = 'Running'"
        with translated():
            return {run.id async for run in self._temporal.list_workflows(query, page_size=1000)}

    async def lost(self, kind: Kind, row: RunningRow) -> Lost | None:
        """Why the run of a row is lost; None when its workflow is open after all.

        Raises:
            Unavailable: Temporal is away.
        """
        remedy = f"Resume the {kind.noun}: it goes on after what was last recorded."
        try:
            with translated():
                run = await self._temporal.get_workflow_handle(row.workflow_id).describe(
                    rpc_timeout=timedelta(seconds=5)
                )
        except NoSuchRun:
            cause = f"Temporal does not know the {kind.noun}'s workflow (its data was lost or its retention is over)."
            return Lost(cause, remedy)
        if run.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
            return None
        name = run.status.name.lower() if run.status else "unknown"
        return Lost(f"The {kind.noun}'s workflow was ended from outside: {name}.", remedy)


class ReconcileRounds:
    """In every worker: one of them looks each minute, whoever is first, and at once where nobody has looked.

    Nothing is started in Temporal for that. Redis holds who has looked, for as long as nobody else need look; while it
    is away, or has forgotten, each worker looks by itself, which does no harm
    ([decision 83](../../../docs/decisions/0083-workers-compare-by-themselves.md)).

    Args:
        compare: `Reconciler.reconcile_runs`, or what does as much.
    """

    def __init__(
        self,
        compare: Callable[[], Awaitable[int]],
        redis: Redis,
        namespace: str,
        task_queue: str,
        *,
        every: timedelta = EVERY,
        try_seconds: float = TRY_SECONDS,
    ) -> None:
        self._compare = compare
        self._redis = redis
        self._mark = f"pavo:reconciled:{namespace}:{task_queue}"
        self._every = every
        self._try_seconds = try_seconds
        self._earliest = 0.0
        """When this worker looks again, by the clock of its event loop."""

    async def run(self) -> None:
        """Without an end."""
        while True:
            if await self._is_due():
                await self._look()
            await asyncio.sleep(self._try_seconds)

    async def _is_due(self) -> bool:
        """Whether it is this worker that looks now."""
        now = asyncio.get_running_loop().time()
        if now < self._earliest:
            return False
        try:
            return bool(await self._redis.set(self._mark, "1", nx=True, px=self._every))
        except REDIS_AWAY as error:
            logger.info("Redis does not tell whether another worker compares: %s", error)
            self._earliest = now + self._every.total_seconds()
            return True

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        doing = asyncio.ensure_future(self._compare())
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                while not doing.done():
                    await asyncio.wait({doing}, timeout=self._try_seconds)
                    if not doing.done():
                        await self._keep_mark()
                await doing
            return
        except (PavoError, TimeoutError) as error:
            logger.warning("Rows and workflows are compared later: %s", error)
        except Exception:
            logger.exception("Rows and workflows are compared later")
        finally:
            await end(doing)
        # What keeps this worker from it may keep no other: those are first, the next time.
        self._earliest = loop.time() + self._every.total_seconds() + 2 * self._try_seconds

    async def _keep_mark(self) -> None:
        """A round that lasts is not joined by another worker's."""
        try:
            await self._redis.set(self._mark, "1", px=self._every)
        except REDIS_AWAY as error:
            logger.info("Redis does not take that a worker compares: %s", error)
