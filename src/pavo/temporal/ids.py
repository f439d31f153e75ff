"""The ids of the workflow for which the running code works."""

from collections.abc import Mapping

from temporalio import activity, workflow


def workflow_ids() -> Mapping[str, str]:
    """workflow_id and run_id of the activity or the workflow that runs here, if one does."""
    if activity.in_activity():
        found = activity.info()
        return _ids(found.workflow_id, found.workflow_run_id)
    if workflow.in_workflow():
        info = workflow.info()
        return _ids(info.workflow_id, info.run_id)
    return {}


def _ids(workflow_id: str | None, run_id: str | None) -> Mapping[str, str]:
    return {"workflow_id": workflow_id, "run_id": run_id} if workflow_id and run_id else {}
