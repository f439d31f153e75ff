"""The second line: tasks whose row and workflow disagree are repaired or explained."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus

from pavo.kit.sql import Database
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events, removal
from pavo.tasks.sql import lease, repository
from pavo.tasks.sql.models import TaskRow
from pavo.temporal.failures import NoSuchRun, translated
from pavo.timeline import service as timeline
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)

SETTLED_AFTER = timedelta(seconds=10)
"""A row younger than this may just be between two writes of its workflow."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a task that says it runs does not."""

    cause: str
    remedy: str = "Resume the task: it goes on after its last recorded step."


class Reconciler(c.ReconcileActivities):
    """Compares rows with workflows."""

    def __init__(self, database: Database, publisher: Publisher, temporal: Client) -> None:
        self._database = database
        self._publisher = publisher
        self._temporal = temporal

    @activity.defn(name="reconcile_tasks")
    async def reconcile_tasks(self) -> int:
        """Repair or explain every disagreement; answers how many there were."""
        open_ids = await self._open_workflows()
        found = 0
        for task in await self._settled():
            if task.workflow_id in open_ids:
                continue
            verdict = await self._verdict(task)
            if verdict is not None and await self._explain(task, verdict):
                logger.error("Task %s said %s without a workflow: %s", task.id, task.stage, verdict.cause)
                found += 1
        await removal.go_on(self._database)
        return found

    async def _open_workflows(self) -> set[str]:
        """Ids that Temporal lists as running: a hint that spares asking for each of many."""
        query = f"WorkflowType = '{c.WORKFLOW_TYPE}' AND ExecutionStatus = 'Running'"
        with translated():
            return {run.id async for run in self._temporal.list_workflows(query, page_size=1000)}

    async def _settled(self) -> list[TaskRow]:
        found: list[TaskRow] = []
        async with self._database.reading() as session:
            while page := await repository.settled(session, SETTLED_AFTER, found[-1].id if found else None):
                found += page
        return found

    async def _verdict(self, task: TaskRow) -> Verdict | None:
        """None when its workflow is open after all."""
        try:
            with translated():
                run = await self._temporal.get_workflow_handle(task.workflow_id).describe(
                    rpc_timeout=timedelta(seconds=5)
                )
        except NoSuchRun:
            return Verdict("Temporal does not know the task's workflow (its data was lost or its retention is over).")
        if run.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
            return None
        name = run.status.name.lower() if run.status else "unknown"
        return Verdict(f"The task's workflow was ended from outside: {name}.")

    async def _explain(self, task: TaskRow, verdict: Verdict) -> bool:
        """Show FAILED, unless the row has moved on meanwhile."""
        error = {"type": "WorkflowLost", "cause": verdict.cause, "remedy": verdict.remedy, "step": None}
        async with self._database.transaction() as session:
            row = await repository.lock_task(session, task.id)
            if row is None or (row.generation, row.transition) != (task.generation, task.transition):
                return False
            fence = d.Fence(task.run_id or "", task.generation, task.transition + 1)
            await lease.raise_epoch(session, task.id)
            await repository.advance(session, row, fence, stage=d.FAILED, phase=row.phase, error=error)
            recorded = await timeline.append(session, task.id, [events.failed(error), events.stage(d.FAILED)])
        self._publisher.publish(recorded)
        return True
