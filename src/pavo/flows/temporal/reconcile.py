"""Rows of runs for the second line: a run whose workflow is gone is shown as failed, with the cause."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

from pavo.errors import LeaseLost
from pavo.flows.ledger import due, recording
from pavo.flows.ledger.changes import Concluded
from pavo.flows.ledger.records import TEMPORAL, Hold
from pavo.flows.ledger.removals import removing
from pavo.flows.scheduler import Status
from pavo.flows.temporal.contracts import start_id
from pavo.kit.sql import Database
from pavo.runs.fence import Fence
from pavo.runs.kinds import RunningRow


def running_row(run_id: uuid.UUID, epoch: int, seq: int) -> RunningRow:
    """A run that a workflow has claimed, as the second line reads it. The fence's transition is the run's `seq`."""
    return RunningRow(run_id, start_id(str(run_id), epoch), "running", Fence("", epoch, seq))


class FlowRows:
    """Runs of Temporal's that are under way: see `runs.kinds.Rows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def running(self, age: timedelta) -> AsyncIterator[RunningRow]:
        """Those that a workflow has claimed."""
        last: uuid.UUID | None = None
        while True:
            async with self._database.reading() as session:
                page = await due.begun(session, age.total_seconds(), last)
            for run in page:
                yield running_row(run.run_id, run.epoch, run.seq)
            if len(page) < due.AT_ONCE:
                return
            last = page[-1].run_id

    async def explain(self, row: RunningRow, cause: str, remedy: str) -> bool:
        """Show that the run is lost, unless something was written of it meanwhile."""
        async with self._database.transaction() as session:
            found = await recording.locked(session, row.subject_id)
            if found.holder is None or (found.engine, found.epoch) != (TEMPORAL, row.next.generation):
                return False
            hold = Hold(row.subject_id, TEMPORAL, found.epoch, found.holder)
            try:
                await recording.commit(session, hold, row.next.transition, [Concluded(Status.FAILED, error=cause)])
            except LeaseLost:
                return False
            await recording.leave(session, row.subject_id)
            return True

    async def go_on(self) -> None:
        """Go on with removals: see `ledger.removals.removing`."""
        await removing.go_on(self._database)
