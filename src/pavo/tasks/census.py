"""How the tasks of an installation stand, for those who watch it."""

from collections.abc import Mapping

from pavo.kit.sql import Database
from pavo.tasks import domain as d
from pavo.tasks.sql import repository
from pavo.temporal.ids import workflow_ids


async def tasks_by_stage(database: Database) -> dict[str, int]:
    """How many tasks are in each stage; one query on an index.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.reading() as session:
        found = await repository.count_by_stage(session)
    return {stage: found.get(stage, 0) for stage in d.STAGES}


def task_ids() -> Mapping[str, str]:
    """The ids of the task that the running workflow or activity belongs to, for log lines."""
    found = workflow_ids()
    task_id = d.task_of_workflow(found["workflow_id"]) if found else None
    return {**found, "task_id": task_id} if task_id else found
