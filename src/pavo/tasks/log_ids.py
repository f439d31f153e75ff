"""The ids that stand on the log lines of what is done for a task."""

from collections.abc import Mapping

from pavo.tasks.domain import task_of_workflow
from pavo.temporal.ids import workflow_ids


def task_ids() -> Mapping[str, str]:
    """task_id, workflow_id and run_id of the running workflow or activity; without task_id where it is no task's."""
    found = workflow_ids()
    task_id = task_of_workflow(found["workflow_id"]) if found else None
    return {**found, "task_id": task_id} if task_id else found
