"""The rows of tasks, as the second line compares them with workflows and explains those that are lost."""

from collections.abc import AsyncIterator
from datetime import timedelta

from pavo.gates import repository as gates
from pavo.kit.sql import Database
from pavo.runs.fenced_row import after
from pavo.runs.kinds import RunningRow
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import delegations, lease, removal, repository
from pavo.tasks.waits.activities import TaskFamily
from pavo.tasks.waits.budget_gates import BudgetGates
from pavo.tasks.waits.follow_ups import FollowUps
from pavo.tasks.wire.event_data import EventFailure
from pavo.timeline import service as timeline
from pavo.timeline.publish import Publisher
from pavo.usage.abandoned import count_abandoned


class TaskRows:
    """Satisfies `runs.kinds.Rows`."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        family: TaskFamily | None = None,
        follow_ups: FollowUps | None = None,
        budgets: BudgetGates | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._family = family
        self._follow_ups = follow_ups
        self._budgets = budgets

    async def running(self, age: timedelta) -> AsyncIterator[RunningRow]:
        """Those that say they run and were not written for this long."""
        last = None
        while True:
            async with self._database.reading() as session:
                page = await repository.settled(session, age, last)
            if not page:
                return
            for task in page:
                yield RunningRow(task.id, task.workflow_id, task.stage, after(task))
            last = page[-1].id

    async def explain(self, row: RunningRow, cause: str, remedy: str) -> bool:
        """Show FAILED, unless the row has moved on meanwhile; whether it was shown."""
        error = EventFailure(type="WorkflowLost", cause=cause, remedy=remedy, step=None)
        async with self._database.transaction() as session:
            task = await repository.lock_task(session, row.subject_id)
            if task is None or after(task).number != row.next.number:
                return False
            await lease.raise_epoch(session, task.id)
            await gates.pause(session, task.id)
            await delegations.pause(session, task.id)
            await repository.advance(session, task, row.next, stage=d.FAILED, phase=task.phase, error={**error})
            recorded = await timeline.append(session, task.id, [events.failed(error), events.stage(d.FAILED)])
        self._publisher.publish(recorded)
        return True

    async def go_on(self) -> None:
        """Remove what is left of deleted tasks, give back what calls have reserved that were cut, mend what delegated
        tasks were not told, begin what was said to tasks that are done, and have tasks look again at budgets."""
        await removal.go_on(self._database)
        await count_abandoned(self._database)
        if self._family is not None:
            await self._family.mend()
        if self._follow_ups is not None:
            await self._follow_ups.go_on()
        if self._budgets is not None:
            await self._budgets.go_on()
