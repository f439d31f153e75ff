"""The reconciler's workflow, run by a schedule."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    import pavo.tasks.contracts as c


@workflow.defn(name=c.RECONCILE_TYPE)
class ReconcileTasks:
    """One round."""

    @workflow.run
    async def run(self) -> int:
        """Answers how many disagreements there were."""
        return await workflow.execute_activity_method(c.ReconcileActivities.reconcile_tasks, **c.RECONCILE)
