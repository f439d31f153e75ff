"""What a run does for delegated tasks. Workflow code."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pavo.runs.story import run_short_activity
    from pavo.tasks.waits.contracts import FamilyActivities, RunEnded


async def end_with_family(task_id: str, *, has_family: bool) -> None:
    """The run is over: what it delegated ends too, and who delegated it is told. Both come after that is recorded."""
    if has_family:
        await run_short_activity(FamilyActivities.run_ended, RunEnded(task_id))
