"""The second line: rows that say they run, and whose workflows do not, are explained."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus

from pavo.errors import Unavailable
from pavo.runs.kinds import Kind, Periodic, Rows, RunningRow
from pavo.runs.reconcile_workflow import ReconcileActivities, ReconcileRuns
from pavo.temporal.failures import NoSuchRun, translated

logger = logging.getLogger(__name__)

SETTLED_AFTER = timedelta(seconds=10)
"""A row younger than this may just be between two writes of its workflow."""
ROUNDS = Periodic("pavo-reconcile", ReconcileRuns, timedelta(minutes=1))


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
        open_ids = await self._open_workflows(kind)
        found = 0
        async for row in rows.running(SETTLED_AFTER):
            if row.workflow_id not in open_ids:
                found += await self._repair(kind, rows, row)
        return found

    async def _repair(self, kind: Kind, rows: Rows, row: RunningRow) -> bool:
        """Whether it was lost, and is explained now. One that cannot be explained keeps no other from it.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        try:
            lost = await self._lost(kind, row)
            if lost is None or not await rows.explain(row, lost.cause, lost.remedy):
                return False
        except Unavailable:
            raise
        except Exception:
            logger.exception("%s %s says %s, and cannot be compared", kind.noun, row.subject_id, row.stage)
            return False
        logger.error("%s %s said %s without a workflow: %s", kind.noun, row.subject_id, row.stage, lost.cause)
        return True

    async def _open_workflows(self, kind: Kind) -> set[str]:
        """Ids that Temporal lists as running: a hint that spares asking for each of many."""
        query = f"WorkflowType = '{kind.type_name}' AND ExecutionStatus = 'Running'"
        with translated():
            return {run.id async for run in self._temporal.list_workflows(query, page_size=1000)}

    async def _lost(self, kind: Kind, row: RunningRow) -> Lost | None:
        """None when its workflow is open after all."""
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
