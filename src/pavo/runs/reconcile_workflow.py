"""A round of the second line, started by a schedule."""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from pavo.runs.story import in_short_slots

RECONCILE_TYPE: Final = "PavoReconcile"

RECONCILE: Final = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(minutes=5),
    retry_policy=RetryPolicy(maximum_attempts=3),
)
"""The next round of the schedule repeats whatever this one did not finish."""


class ReconcileActivities(ABC):
    """The second line: rows and workflows that disagree."""

    @activity.defn(name="reconcile_runs")
    @abstractmethod
    async def reconcile_runs(self) -> int:
        """Repair or explain every disagreement of every kind; answers how many there were."""


@workflow.defn(name=RECONCILE_TYPE)
class ReconcileRuns:
    """One round."""

    @workflow.run
    async def run(self) -> int:
        """Answers how many disagreements there were."""
        return await workflow.execute_activity_method(ReconcileActivities.reconcile_runs, **in_short_slots(RECONCILE))
