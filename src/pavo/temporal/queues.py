"""What Temporal says of a task queue."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeWorkerDeploymentVersionRequest
from temporalio.client import Client

from pavo.temporal.failures import translated

RPC_TIMEOUT: Final = timedelta(seconds=3)
STICKY_TIMEOUT: Final = timedelta(seconds=2)
"""How long a workflow task waits for the worker that has the workflow in memory before any other may take it."""
KINDS: Final = {
    "workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}


@dataclass(frozen=True, slots=True)
class QueueState:
    """One kind of work on a task queue. All numbers are the server's estimates."""

    kind: str
    """workflow or activity."""
    backlog: int
    """How many tasks wait."""
    age_seconds: float
    """How long the oldest has waited."""
    pollers: int
    """Workers that asked for work within the last five minutes."""


async def describe_queue(client: Client, task_queue: str, kind: str) -> QueueState:
    """How much work waits, and how many workers ask for it.

    Raises:
        Unavailable: Temporal is away.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=KINDS[kind],
        report_stats=True,
    )
    with translated():
        found = await client.workflow_service.describe_task_queue(request, timeout=RPC_TIMEOUT)
    stats = found.stats
    age = stats.approximate_backlog_age.ToTimedelta().total_seconds()
    return QueueState(kind, stats.approximate_backlog_count, age, len(found.pollers))


async def waiting_activities(client: Client, task_queue: str, version: tuple[str, str]) -> int:
    """How many activities wait for a worker, about; the server counts them anew every few seconds.

    Args:
        version: deployment and build id of the workers that are meant; without a build id those without one.

    Raises:
        Unavailable: Temporal is away.
        NoSuchRun: it does not know the version (yet).
    """
    deployment, build_id = version
    if build_id:
        request = DescribeWorkerDeploymentVersionRequest(
            namespace=client.namespace,
            deployment_version=WorkerDeploymentVersion(deployment_name=deployment, build_id=build_id),
            report_task_queue_stats=True,
        )
        with translated():
            answer = await client.workflow_service.describe_worker_deployment_version(request, timeout=RPC_TIMEOUT)
        for queue in answer.version_task_queues:
            if (queue.name, queue.type) == (task_queue, KINDS["activity"]):
                return queue.stats.approximate_backlog_count
    # Servers before 1.30 tell the same of all versions together.
    return (await describe_queue(client, task_queue, "activity")).backlog
