"""What can be started in a process."""

from collections.abc import Mapping
from functools import partial

from pavo.agents.importing import Imports
from pavo.agents.registry import AgentRegistry
from pavo.flows.wiring import flow_runs
from pavo.jobs.wiring import job_services
from pavo.kit.sql import KeptConnections
from pavo.runs.kinds import ApiClients, WorkerClients
from pavo.starts.works import JobWork, TaskWork, Work
from pavo.tasks.wiring import task_service, task_stages


def works_of(clients: ApiClients | WorkerClients, connections: KeptConnections) -> Mapping[str, Work]:
    """By kind."""
    from pavo.starts.flow_work import FlowWork  # here, as flows do it: it reads definitions

    jobs, submission = job_services(clients)
    agents = Imports(AgentRegistry.load())
    tasks = TaskWork(task_service(clients, connections, agents), agents, partial(task_stages, clients.database))
    return {"task": tasks, "job": JobWork(jobs, submission), "flow": FlowWork(*flow_runs(clients))}
