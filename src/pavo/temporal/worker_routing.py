"""To which builds of the workers Temporal sends new runs."""

from datetime import timedelta
from typing import Final, NamedTuple

from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
from temporalio.client import Client

from pavo.temporal.failures import translated

RPC_TIMEOUT: Final = timedelta(seconds=3)


class Routing(NamedTuple):
    """What is current, and what gets a share beside it. Build ids; empty for workers without one, or none."""

    current: str
    ramping: str
    percent: float


async def routing_of(client: Client, deployment: str) -> Routing:
    """The routing of a worker deployment.

    Raises:
        NoSuchRun: there is no such deployment.
        Unavailable: Temporal is away.
    """
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
    with translated():
        answer = await client.workflow_service.describe_worker_deployment(request, timeout=RPC_TIMEOUT)
    found = answer.worker_deployment_info.routing_config
    return Routing(
        found.current_deployment_version.build_id,
        found.ramping_deployment_version.build_id,
        found.ramping_version_percentage,
    )
