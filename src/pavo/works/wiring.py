"""Which works there are in a process."""

import uuid
from collections.abc import Mapping
from functools import partial

from pavo.agents.importing import Imports
from pavo.agents.registry import AgentRegistry
from pavo.jobs.wiring import job_services
from pavo.kit.sql import KeptConnections
from pavo.runs.kinds import ApiClients, WorkerClients
from pavo.tasks.wiring import task_outcome, task_service, task_stages
from pavo.works.job_work import JobWork
from pavo.works.task_work import TaskWork
from pavo.works.work import Outcome, Work


def works(clients: ApiClients | WorkerClients, connections: KeptConnections) -> Mapping[str, Work]:
    """By kind: task, job."""
    jobs, submission = job_services(clients)
    agents, database = Imports(AgentRegistry.load()), clients.database

    async def outcome(task_id: uuid.UUID) -> Outcome:
        stage, report, cause = await task_outcome(database, task_id)
        return Outcome(stage, report, cause)

    tasks = TaskWork(task_service(clients, connections, agents), agents, partial(task_stages, database), outcome)
    return {"task": tasks, "job": JobWork(jobs, submission)}
