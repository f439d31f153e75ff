"""What Temporal says of a task queue."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from pavo.temporal.failures import translated

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
        found = await client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=3))
    stats = found.stats
    age = stats.approximate_backlog_age.ToTimedelta().total_seconds()
    return QueueState(kind, stats.approximate_backlog_count, age, len(found.pollers))
