"""The worker: assembles workflows and activities and runs them until it is told to end."""

import asyncio
import importlib
import logging
import os
import signal
import socket
from datetime import timedelta

import uvloop
from sqlalchemy.orm import configure_mappers
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker, WorkerDeploymentConfig
from temporalio.workflow import _Definition  # pyright: ignore[reportPrivateUsage]

from pavo import __version__, bootstrap
from pavo.agents.registry import AgentRegistry
from pavo.config import ExecutionSettings, Settings
from pavo.deploy.rollout import worker_versions
from pavo.deploy.rollout.probe_workflow import Probe
from pavo.errors import ConfigurationError, Unavailable
from pavo.kit.ready import announce_ready
from pavo.logging import configure_logging
from pavo.observe.listener import listening_if_wanted
from pavo.tasks.contracts import HEARTBEAT_SECONDS
from pavo.tasks.log_ids import task_ids
from pavo.tasks.reconcile_workflow import ReconcileTasks
from pavo.tasks.work.handover import hand_over
from pavo.tasks.workflow import AgentTask
from pavo.temporal.activities import implementations
from pavo.temporal.sandbox import Sandbox

logger = logging.getLogger(__name__)

WORKFLOWS = [AgentTask, ReconcileTasks, Probe]
WORKFLOW_TASKS = 8
"""At once in this process. Each is a thread that wants the interpreter: with a hundred, heartbeats came late."""
STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a workflow task waits for the worker that has the workflow in memory before any other may take it."""
GRACEFUL_SECONDS = 12.0
"""For activities to end after a shutdown: an agent's stop_grace is 5 s by default, and the commit comes after it."""
RPC_TIMEOUT = timedelta(seconds=10)
RECONCILE_SCHEDULE = "pavo-reconcile"
RECONCILE_EVERY = timedelta(minutes=1)


def warm_up() -> None:
    """Do beforehand what takes a new worker long and needs no service: for a spare one."""

    async def prepare() -> None:
        for workflow in WORKFLOWS:
            Sandbox().prepare_workflow(_Definition.must_from_class(workflow))

    asyncio.run(prepare())
    AgentRegistry.load().cards()
    configure_mappers()
    for module in ("sqlalchemy.dialects.postgresql.psycopg", "pavo.agents.worker_host"):
        importlib.import_module(module)


def serve(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT; steps in flight are recorded or repeated elsewhere."""
    configure_logging(settings.logging, task_ids)
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with bootstrap.worker_parts(settings) as parts, listening_if_wanted(settings.metrics, parts.scrape):
        await _require_namespace(parts.temporal)
        await _work(settings, parts, stop)


async def _require_namespace(client: Client) -> None:
    """Before the SDK's worker looks, whose error names neither the variable nor the remedy.

    Raises:
        ConfigurationError: there is no such namespace.
        Unavailable: Temporal does not answer for it.
    """
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(request, retry=True, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise Unavailable(f"Temporal does not answer: {error.message}.", dependency="temporal") from error
        raise ConfigurationError(
            f"Temporal has no namespace {client.namespace!r}.",
            field="TEMPORAL_NAMESPACE",
            remedy="Set TEMPORAL_NAMESPACE to one that exists, or create it: "
            f"temporal operator namespace create -n {client.namespace}",
        ) from error


async def _work(settings: Settings, parts: bootstrap.WorkerParts, stop: asyncio.Event) -> None:
    async with build_worker(settings, parts):
        if settings.execution.build_id:
            deployment, build_id = settings.execution.deployment, settings.execution.build_id
            await worker_versions.adopt(parts.temporal, deployment, build_id, settings.temporal.task_queue)
        announce_ready()
        await _replace_predecessor(parts)
        await ensure_schedule(parts.temporal, settings.temporal.task_queue)
        logger.info("Worker ready on task queue %s", settings.temporal.task_queue)
        await stop.wait()
        logger.info("Worker is ending")


async def _replace_predecessor(parts: bootstrap.WorkerParts) -> None:
    """Where a supervisor started this worker in place of one that died: take its tasks over at once."""
    pid = os.environ.pop("PAVO_REPLACES", "")
    if not pid:
        return
    host = socket.gethostname()
    try:
        count = await hand_over(parts.database, parts.temporal, holder=f"{host}:{pid}:", identity=f"{pid}@{host}")
    except Unavailable as error:
        logger.warning("The tasks of the worker before are left to their time-outs: %s", error)
    else:
        logger.info("Took over %s attempts of worker %s, which is dead", count, pid)


def build_worker(settings: Settings, parts: bootstrap.WorkerParts) -> Worker:
    """A worker for every workflow and activity of Pavo."""
    version = _version(settings.execution)
    return Worker(
        parts.temporal,
        task_queue=settings.temporal.task_queue,
        # The default is a hash of every loaded module: half a second at each start.
        build_id=None if version else f"pavo-{__version__}",
        workflows=WORKFLOWS,
        workflow_runner=Sandbox(),
        activities=[
            *implementations(parts.agent_work),
            *implementations(parts.recorder),
            *implementations(parts.reconciler),
        ],
        max_concurrent_activities=settings.execution.max_tasks,
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_SECONDS),
        default_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_SECONDS),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=timedelta(seconds=GRACEFUL_SECONDS),
        deployment_config=version,
    )


def _version(settings: ExecutionSettings) -> WorkerDeploymentConfig | None:
    """With a build id, tasks stay with this version until they continue as new."""
    if not settings.build_id:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.deployment, settings.build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


async def ensure_schedule(client: Client, task_queue: str) -> None:
    """Create the reconciler's schedule unless it is there."""
    action = ScheduleActionStartWorkflow(ReconcileTasks.run, id=RECONCILE_SCHEDULE, task_queue=task_queue)
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=RECONCILE_EVERY)])
    policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP)
    try:
        await client.create_schedule(RECONCILE_SCHEDULE, Schedule(action=action, spec=spec, policy=policy))
    except ScheduleAlreadyRunningError:
        logger.debug("The reconciler's schedule is there already")
