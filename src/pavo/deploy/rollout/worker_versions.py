"""Versions of workers by Temporal's worker deployments: which is current, who still stays with which, moving on.

A worker with a build id is a version of a deployment. Work of every kind is pinned to the version on which its run
began; the next run (it continues as new) begins on the current one.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import VersioningBehavior, WorkerDeploymentVersionStatus
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentResponse,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import Client, RPCTimeoutOrCancelledError, WorkflowFailureError, WorkflowHandle
from temporalio.common import PinnedVersioningOverride, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode

from pavo.errors import Conflict, InvalidInput, NotFound, Unavailable
from pavo.runs.kinds import FORMER_RECONCILE_TYPE, PASSING
from pavo.runs.probe_workflow import Probe
from pavo.runs.story import SIGNAL_MOVE_ON

RPC_TIMEOUT = timedelta(seconds=10)
POLL_SECONDS = 0.2
ADOPT_SECONDS = 20.0
"""For the server to know a version whose worker just began to poll."""
PROBE_SECONDS = 8.0
"""For a worker to take a task of its version."""
SIGNALS_AT_ONCE = 20
UNVERSIONED = ""
"""The build id of workers without one."""
_OPEN = f"ExecutionStatus = 'Running' AND WorkflowType NOT IN {(*PASSING, FORMER_RECONCILE_TYPE)}"
"""Work of every kind, also of those that only another build knows: whoever is pinned to a version needs its workers."""
_STATUS = "WORKER_DEPLOYMENT_VERSION_STATUS_"


@dataclass(frozen=True, slots=True)
class WorkerVersion:
    """One version of the workers."""

    build_id: str
    status: str
    """inactive, current, ramping, draining (runs are still pinned to it), drained, or created."""
    runs: int
    """Open runs of every kind that are pinned to it."""
    created: datetime | None = None
    checked: datetime | None = None
    """When the server last looked whether it is drained: it does so every few minutes only; `runs` is of now."""


@dataclass(frozen=True, slots=True)
class WorkerDeployment:
    """A worker deployment; an unknown one has no versions."""

    name: str
    current: str
    """Build id; empty while workers without one are current."""
    ramping: str
    ramp_percent: float
    versions: tuple[WorkerVersion, ...]
    unversioned_runs: int = 0
    """Open runs of the task queue that no version has taken yet."""

    @property
    def behind(self) -> dict[str, int]:
        """Open runs on other versions than the current one, by build id."""
        return {v.build_id: v.runs for v in self.versions if v.runs and v.build_id != self.current}

    def public(self) -> dict[str, Any]:
        """What `-o json` shows."""
        return asdict(self)


async def describe(client: Client, name: str, task_queue: str) -> WorkerDeployment:
    """The deployment's versions, newest first, and what runs on the task queue without one.

    Raises:
        Unavailable: Temporal does not answer.
    """
    answer = await _describe(client, name)
    unversioned = f"{_OPEN} AND TaskQueue = '{task_queue}' AND TemporalWorkerDeploymentVersion IS NULL"
    if answer is None:
        return WorkerDeployment(name, "", "", 0.0, (), await _count(client, unversioned))
    info = answer.worker_deployment_info
    routing = info.routing_config
    versions = [await _version(client, name, summary) for summary in info.version_summaries]
    return WorkerDeployment(
        name,
        routing.current_deployment_version.build_id,
        routing.ramping_deployment_version.build_id,
        routing.ramping_version_percentage,
        tuple(sorted(versions, key=lambda v: v.created or datetime.min.replace(tzinfo=UTC), reverse=True)),
        await _count(client, unversioned),
    )


async def _version(
    client: Client, name: str, summary: WorkerDeploymentInfo.WorkerDeploymentVersionSummary
) -> WorkerVersion:
    build_id = summary.deployment_version.build_id
    status = WorkerDeploymentVersionStatus.Name(summary.status).removeprefix(_STATUS).lower()
    runs = await _count(client, _pinned_to(name, build_id))
    checked = summary.drainage_info.last_checked_time
    return WorkerVersion(build_id, status, runs, _moment(summary.create_time), _moment(checked))


def _moment(stamp: Timestamp) -> datetime | None:
    return stamp.ToDatetime(tzinfo=UTC) if stamp.seconds else None


def _pinned_to(name: str, build_id: str) -> str:
    return f"{_OPEN} AND TemporalWorkerDeploymentVersion = '{name}:{build_id}'"


async def _count(client: Client, query: str) -> int:
    with _refusals():
        return (await client.count_workflows(query, rpc_timeout=RPC_TIMEOUT)).count


async def _describe(client: Client, name: str) -> DescribeWorkerDeploymentResponse | None:
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=name)
    try:
        return await client.workflow_service.describe_worker_deployment(request, retry=True, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise Unavailable(f"Temporal does not tell its versions: {error.message}", dependency="temporal") from error


async def set_current(client: Client, name: str, build_id: str, task_queue: str) -> str:
    """New runs begin on this version from now on; answers the one that was current before.

    Doing it again changes nothing. An empty build id means the workers without one.

    Raises:
        NotFound: no worker of this version has ever polled.
        Conflict: no worker of it answers now, or it misses task queues that the current one serves.
        Unavailable: Temporal does not answer.
    """
    before = await _describe(client, name)
    _known(before, name, build_id)
    assert before is not None
    await _until_answering(client, name, build_id, task_queue)
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace,
        deployment_name=name,
        build_id=build_id,
        conflict_token=before.conflict_token,
        identity=client.identity,
        allow_no_pollers=not build_id,
        ignore_missing_task_queues=True,  # another build may serve others
    )
    with _refusals():
        await client.workflow_service.set_worker_deployment_current_version(request, timeout=RPC_TIMEOUT)
    return before.worker_deployment_info.routing_config.current_deployment_version.build_id


async def ramp(client: Client, name: str, build_id: str, percent: float, task_queue: str) -> None:
    """Let so many per cent of the new runs begin on this version.

    Raises:
        InvalidInput: the percentage is none.
        NotFound, Conflict, Unavailable: as in `set_current`.
    """
    if not 0 <= percent <= 100:
        raise InvalidInput(f"{percent} is no percentage.", field="--ramp", remedy="Pass 0 to 100.")
    before = await _describe(client, name)
    _known(before, name, build_id)
    assert before is not None
    if percent:
        await _until_answering(client, name, build_id, task_queue)
    request = SetWorkerDeploymentRampingVersionRequest(
        namespace=client.namespace,
        deployment_name=name,
        build_id=build_id if percent else UNVERSIONED,
        percentage=percent,
        conflict_token=before.conflict_token,
        identity=client.identity,
    )
    with _refusals():
        await client.workflow_service.set_worker_deployment_ramping_version(request, timeout=RPC_TIMEOUT)


async def _until_answering(client: Client, name: str, build_id: str, task_queue: str) -> None:
    """The server itself is content with a version whose workers were seen once, and tasks would wait for them."""
    if not build_id:
        return
    handle = await _start_probe(client, WorkerDeploymentVersion(name, build_id), task_queue)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await handle.result()
    except (TimeoutError, WorkflowFailureError, RPCTimeoutOrCancelledError, RPCError) as error:
        raise Conflict(
            f"No worker of {name} with the build id {build_id} answers on the task queue {task_queue}.",
            field="build id",
            remedy=f"Start one with PAVO_WORKER_DEPLOYMENT={name} PAVO_WORKER_BUILD_ID={build_id}, and repeat.",
        ) from error


async def _start_probe(
    client: Client, version: WorkerDeploymentVersion, task_queue: str
) -> WorkflowHandle[Probe, None]:
    end = time.monotonic() + PROBE_SECONDS
    while True:
        try:
            with _refusals():
                return await client.start_workflow(
                    Probe.run,
                    id=f"pavo-probe-{uuid.uuid4()}",
                    task_queue=task_queue,
                    versioning_override=PinnedVersioningOverride(version),
                    execution_timeout=timedelta(seconds=2 * PROBE_SECONDS),
                    rpc_timeout=RPC_TIMEOUT,
                )
        except Conflict:  # its worker has just begun to poll
            if time.monotonic() > end:
                raise
        await asyncio.sleep(POLL_SECONDS)


def _known(answer: DescribeWorkerDeploymentResponse | None, name: str, build_id: str) -> None:
    summaries = answer.worker_deployment_info.version_summaries if answer else ()
    known = [summary.deployment_version.build_id for summary in summaries]
    if answer is None or (build_id and build_id not in known):
        raise NotFound(
            f"No worker of {name} with the build id {build_id!r} has registered.",
            field="build id",
            remedy=f"Start one with PAVO_WORKER_DEPLOYMENT={name} PAVO_WORKER_BUILD_ID={build_id}"
            + (f"; known are {', '.join(known)}." if known else "."),
        )


@contextlib.contextmanager
def _refusals() -> Generator[None, None, None]:
    try:
        yield
    except RPCTimeoutOrCancelledError as error:
        raise Unavailable("Temporal does not answer in time.", dependency="temporal") from error
    except RPCError as error:
        if error.status == RPCStatusCode.FAILED_PRECONDITION:
            remedy = "Start workers of this version and look: pavo deploy workers"
            raise Conflict(error.message, remedy=remedy) from error
        raise Unavailable(f"Temporal does not take it: {error.message}", dependency="temporal") from error


async def adopt(client: Client, name: str, build_id: str, task_queue: str) -> bool:
    """Make the first version of a deployment current; where there is a current one already, change nothing.

    Without a current version nothing would ever reach the first versioned worker. Answers whether this one is current.

    Raises:
        Unavailable: the server does not know the version although its worker polls.
    """
    end = time.monotonic() + ADOPT_SECONDS
    while True:
        answer = await _describe(client, name)
        current = answer.worker_deployment_info.routing_config.current_deployment_version.build_id if answer else ""
        try:
            _known(answer, name, build_id)
            if current:
                return current == build_id
            await set_current(client, name, build_id, task_queue)
        except (NotFound, Conflict, Unavailable) as error:  # not registered yet, or another worker was quicker
            if time.monotonic() > end:
                detail = f"The version {name}:{build_id} is not taken: {error.detail}"
                raise Unavailable(detail, dependency="temporal") from error
        await asyncio.sleep(POLL_SECONDS)


async def wake(client: Client, name: str, task_queue: str) -> int:
    """Ask every run that is pinned to another version than the current one to continue as new; answers how many.

    Who executes does it at its next step boundary, who waits for a person does it at once.
    """
    behind = (await describe(client, name, task_queue)).behind
    return await _tell_those_behind(client, name, behind, [_signal])


async def take_over(client: Client, name: str, build_id: str, task_queue: str) -> int:
    """Hand the runs of a version whose workers are gone to the current one, as they are; answers how many.

    The current version replays their histories: let `pavo deploy check` tell whether it can.

    Raises:
        Conflict: there is no current version.
        Unavailable: Temporal does not answer.
    """
    deployment = await describe(client, name, task_queue)
    if not deployment.current:
        raise Conflict("There is no current version.", remedy="Name one: pavo deploy workers --set-current BUILD")
    # It ends with the run, which the signal ends: what continues as new inherits pins only.
    override = VersioningOverride(auto_upgrade=True, behavior=VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE)

    async def move(client: Client, workflow_id: str, run_id: str) -> None:
        request = UpdateWorkflowExecutionOptionsRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            workflow_execution_options=WorkflowExecutionOptions(versioning_override=override),
            update_mask=FieldMask(paths=["versioning_override"]),
            identity=client.identity,
        )
        await client.workflow_service.update_workflow_execution_options(request, timeout=RPC_TIMEOUT)

    left = {build_id: deployment.behind[build_id]} if build_id in deployment.behind else {}
    # The signal gives the worker that takes over a first task to do, and ends the override.
    return await _tell_those_behind(client, name, left, [move, _signal])


Tell = Callable[[Client, str, str], Awaitable[None]]


async def _signal(client: Client, workflow_id: str, run_id: str) -> None:
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    await handle.signal(SIGNAL_MOVE_ON, rpc_timeout=RPC_TIMEOUT)


async def _tell_those_behind(client: Client, name: str, behind: Iterable[str], steps: Sequence[Tell]) -> int:
    gate = asyncio.Semaphore(SIGNALS_AT_ONCE)

    async def tell(workflow_id: str, run_id: str) -> bool:
        async with gate:
            try:
                for step in steps:
                    await step(client, workflow_id, run_id)
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    return False  # it ended, or moved on by itself
                raise
            return True

    with _refusals():
        runs = [run for build_id in behind for run in await runs_of(client, name, build_id)]
        return sum(await asyncio.gather(*(tell(*run) for run in runs)))


async def runs_of(client: Client, name: str, build_id: str) -> list[tuple[str, str]]:
    """Workflow and run ids of the open runs that are pinned to a version, as visibility has them: a moment behind."""
    found = client.list_workflows(_pinned_to(name, build_id), rpc_timeout=RPC_TIMEOUT)
    return [(execution.id, execution.run_id) async for execution in found]
