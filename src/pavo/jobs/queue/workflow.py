"""The monitor of a queue: gives jobs out until nothing can be given, and ends. Whoever changes something starts it."""

import asyncio
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from pavo.jobs import domain as d
    from pavo.jobs.contracts import QUEUE_TYPE, SIGNAL_LOOK, WORKFLOW_TYPE, Claimed, JobInput, QueueActivities, TakeJobs
    from pavo.jobs.queue.contracts import LINE, LINES_TYPE, QueueLineActivities
    from pavo.runs.story import MAX_HISTORY_EVENTS, SIGNAL_MOVE_ON, TASK_TIMEOUT, in_short_slots, run_short_activity

AGAIN: Final = timedelta(milliseconds=100)
"""Before it looks again where others were claiming all the time."""


@workflow.defn(name=QUEUE_TYPE)
class QueueMonitor:
    """Of one organisation's queue, or of the agents that serve all: `domain.queue_workflow_id`, `SHARED_QUEUE`."""

    def __init__(self) -> None:
        self._told = True

    @workflow.run
    async def run(self, organisation_id: str | None) -> None:
        """Claim, start a workflow for each job, and end when nothing can be given: it never waits for that to change.

        Args:
            organisation_id: None: for the agents that serve all.
        """
        while self._told:
            self._told = False
            taken = await run_short_activity(QueueActivities.take_jobs, TakeJobs(organisation_id))
            await asyncio.gather(*(self._start(each) for each in taken.jobs))
            self._told = self._told or taken.more
            if taken.more and not taken.jobs:
                await workflow.sleep(AGAIN)
            if self._told and self._is_full():
                workflow.continue_as_new(organisation_id)

    @workflow.signal(name=SIGNAL_LOOK)
    def look(self) -> None:
        """Something has changed: it looks once more before it ends."""
        self._told = True

    @workflow.signal(name=SIGNAL_MOVE_ON)
    def move_on(self) -> None:
        """It ends within seconds."""

    async def _start(self, claimed: Claimed) -> None:
        """The attempt's workflow, which lives on when this one ends; one that was started before stays as it is."""
        try:
            await workflow.start_child_workflow(
                WORKFLOW_TYPE,
                JobInput(claimed.job_id, claimed.epoch),
                id=d.workflow_id(claimed.job_id, claimed.epoch),
                task_timeout=TASK_TIMEOUT,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("The workflow of job %s, attempt %s, is there", claimed.job_id, claimed.epoch)

    def _is_full(self) -> bool:
        info = workflow.info()
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > MAX_HISTORY_EVENTS


@workflow.defn(name=LINES_TYPE)
class LookAtQueues:
    """A round of the second line: monitors that somebody should have told of something are told."""

    @workflow.run
    async def run(self) -> int:
        """Answers how many monitors were told."""
        return await workflow.execute_activity_method(QueueLineActivities.look_at_queues, **in_short_slots(LINE))

    @workflow.signal(name=SIGNAL_MOVE_ON)
    def move_on(self) -> None:
        """It ends within seconds."""
