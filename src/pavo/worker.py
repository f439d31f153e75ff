"""The worker: assembles workflows and activities and runs them until it is told to end."""

import asyncio
import importlib
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import uvloop
from pydantic import BaseModel
from sqlalchemy.orm import configure_mappers
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker, WorkerDeploymentConfig
from temporalio.workflow import _Definition  # pyright: ignore[reportPrivateUsage]

from pavo import __version__, bootstrap
from pavo.agents.announced.announcement import Announcement, announcement_of
from pavo.agents.announced.announcements import Announcements
from pavo.agents.registry import AgentRegistry
from pavo.bootstrap import SLICES
from pavo.config import ExecutionSettings, Settings
from pavo.deploy.rollout import worker_versions
from pavo.errors import ConfigurationError, PavoError, Unavailable
from pavo.kit.cancellation import end
from pavo.kit.ids import new_id
from pavo.kit.ready import announce_ready
from pavo.logging import configure_logging
from pavo.observe.listener import listening_if_wanted
from pavo.runs import worker_ends
from pavo.runs.handover import hand_over
from pavo.runs.kinds import Beside, Slice, ids_of, workflows_of
from pavo.runs.presence import be_present
from pavo.runs.reconcile import ROUNDS, ReconcileRounds
from pavo.runs.schedules import ensure_schedules
from pavo.runs.story import HEARTBEAT_SECONDS, plan_queue, short_queue
from pavo.runs.waking import wake
from pavo.temporal.activities import implementations
from pavo.temporal.failures import NoSuchRun
from pavo.temporal.queues import STICKY_TIMEOUT
from pavo.temporal.sandbox import Sandbox
from pavo.temporal.worker_routing import Routing, routing_of

logger = logging.getLogger(__name__)

SHORT_TASKS = 16
"""Short activities at once: each holds a connection of the pool for a moment."""
WORKFLOW_TASKS = 128
"""At once in this process: the first stretch of a quick agent is carried out within one."""
WORKFLOW_THREADS = 8
"""In which workflows are advanced. Each wants the interpreter: with a hundred, heartbeats came late."""
HANDING_BACK = 4
"""Slots for attempts that find no place: it takes a moment to say so."""
GRACEFUL_SECONDS = 12.0
"""For activities to end after a shutdown: an agent's stop_grace is 5 s by default, and the commit comes after it."""
RPC_TIMEOUT = timedelta(seconds=10)
ANEW_SECONDS = 5.0
"""A worker lives at least so long before it begins anew: where code changes all the time, it works in between."""
SCHEDULES_AGAIN_SECONDS = 15.0
"""After so long it is looked again whether this build is current."""


def workflows(slices: Sequence[Slice] = SLICES) -> list[type]:
    """Every workflow class of this build."""
    return workflows_of([each.KIND for each in slices])


def warm_up() -> None:
    """Do beforehand what takes a new worker long and needs no service: for a spare one."""

    async def prepare() -> None:
        for workflow in workflows():
            Sandbox().prepare_workflow(_Definition.must_from_class(workflow))

    asyncio.run(prepare())
    AgentRegistry.load().cards()
    configure_mappers()
    for module in ("sqlalchemy.dialects.postgresql.psycopg", "pavo.agents.hosts.worker_host"):
        importlib.import_module(module)


def serve(settings: Settings, slices: Sequence[Slice] = SLICES) -> bool:
    """Run a worker until SIGTERM or SIGINT; steps in flight are recorded or repeated elsewhere.

    Returns:
        Whether it is to begin anew, for the code on disk is not what it has loaded.
    """
    configure_logging(settings.logging, partial(ids_of, [each.KIND for each in slices]))
    return uvloop.run(_serve(settings, slices))


async def _serve(settings: Settings, slices: Sequence[Slice]) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    anew, earliest = asyncio.Event(), loop.time() + ANEW_SECONDS

    def end_as_asked() -> None:
        worker_ends.tell_asked()
        stop.set()

    def end_outdated() -> None:
        if not stop.is_set():  # else somebody has told it to end, and means it
            anew.set()
            end_as_asked()

    def begin_anew() -> None:
        loop.call_soon_threadsafe(loop.call_at, earliest, end_outdated)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end_as_asked)
    async with (
        bootstrap.worker_parts(settings, slices, begin_anew=begin_anew) as parts,
        listening_if_wanted(settings.metrics, parts.scrape),
    ):
        await _require_namespace(parts.temporal)
        await _run(settings, parts, stop)
    return anew.is_set()


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


async def _run(settings: Settings, parts: bootstrap.WorkerParts, stop: asyncio.Event) -> None:
    # The short queue first: what runs on the others may hand work to it at once.
    own = [beside for each in parts.kinds for beside in each.beside]
    long = _ending_together((build_plan_worker(settings, parts), build_worker(settings, parts)), own)
    async with build_short_worker(settings, parts), long, AsyncExitStack() as beside:
        await _is_current(settings, parts.temporal)
        announce_ready()
        present = _be_present(settings, parts)
        rounds = ReconcileRounds(
            parts.reconciler.reconcile_runs, parts.redis, parts.temporal.namespace, settings.temporal.task_queue
        )
        for doing in (*present, rounds.run(), _keep_schedules(settings, parts), _follow_routing(settings, parts)):
            beside.push_async_callback(end, asyncio.ensure_future(doing))
        for each in (parts.deliverer, *own):
            each.start()
        beside.push_async_callback(parts.deliverer.close)
        await _replace_predecessor(parts)
        await _wake_waiting(parts)
        logger.info("Worker ready on task queue %s", settings.temporal.task_queue)
        await stop.wait()
        logger.info("Worker is ending")


@asynccontextmanager
async def _ending_together(workers: Sequence[Worker | None], own: Sequence[Beside]) -> AsyncGenerator[None]:
    """Each gives its agents their grace at the same time, and none takes work that another one has stopped taking."""
    async with AsyncExitStack() as polling:
        begun = [await polling.enter_async_context(each) for each in workers if each]
        yield
        await asyncio.gather(*(each.shutdown() for each in begun), *(each.close() for each in own))


async def _is_current(settings: Settings, client: Client) -> bool:
    """Whether new runs begin on this build; the first build of a deployment becomes current by this."""
    worker = settings.execution
    if not worker.build_id:
        return True
    return await worker_versions.adopt(client, worker.deployment, worker.build_id, settings.temporal.task_queue)


def _be_present(settings: Settings, parts: bootstrap.WorkerParts) -> Sequence[Coroutine[Any, Any, None]]:
    """Be seen as a worker, and say which agents it has, and what its kinds of work have."""
    queue, worker = settings.temporal.task_queue, settings.execution
    version = f"{worker.deployment}:{worker.build_id}" if worker.build_id else None
    name, namespace = f"{socket.gethostname()}:{os.getpid()}:{new_id()}", parts.temporal.namespace
    whose = (parts.redis, namespace, queue)
    agents = partial(announcement_of, worker.build_id or None, parts.registry)
    announcing = [Announcements(*whose, Announcement, "agents").announce(name, agents)]
    for noun, describe in ((noun, describe) for each in parts.kinds for noun, describe in each.has.items()):
        announcing.append(Announcements(*whose, BaseModel, noun).announce(name, describe, changes=True))
    return be_present(parts.redis, namespace, queue, version, name), *announcing


async def _follow_routing(settings: Settings, parts: bootstrap.WorkerParts) -> None:
    """Whenever new runs begin to go to other builds, have what runs here end where nothing is lost.

    Its workflow learns of the change with its next workflow task only, and that may be days away. The server's task
    queues may learn of it a moment later, so each change counts three times; a run that stays here after all is then
    left alone.
    """
    worker = settings.execution
    known, times = Routing(worker.build_id, "", 0.0), 0
    while worker.build_id:
        await asyncio.sleep(worker.turn_seconds)
        try:
            found = await routing_of(parts.temporal, worker.deployment)
        except (PavoError, NoSuchRun) as error:
            logger.info("Which build is current cannot be told: %s", error)
            continue
        except Exception:
            logger.exception("Which build is current cannot be told")
            continue
        if found != known and (found.current != worker.build_id or found.ramping not in ("", worker.build_id)):
            logger.info("New runs go to other builds now (%s): what runs here moves on", found)
            times = 3
        elif found != known:
            times = 0
        if times:
            times -= 1
            for each in parts.kinds:
                each.move_on()
        known = found


async def _keep_schedules(settings: Settings, parts: bootstrap.WorkerParts) -> None:
    """Bring the schedules up to date once this build is current: before, their rounds would find other builds' workers.

    Beside the work, for a worker without schedules works all the same; whatever keeps them away is tried again.
    """
    periodic = [each for at_work in parts.kinds for each in at_work.kind.periodic]
    while True:
        try:
            if await _is_current(settings, parts.temporal):
                await ensure_schedules(parts.temporal, settings.temporal.task_queue, [ROUNDS, *periodic])
                return
        except (PavoError, NoSuchRun) as error:
            logger.warning("The schedules are not up to date yet: %s", error)
        except Exception:
            logger.exception("The schedules are not up to date yet")
        await asyncio.sleep(SCHEDULES_AGAIN_SECONDS)


async def _replace_predecessor(parts: bootstrap.WorkerParts) -> None:
    """Where a supervisor started this worker in place of one that died: take its work over at once."""
    pid = os.environ.pop("PAVO_REPLACES", "")
    if not pid:
        return
    host = socket.gethostname()
    for at_work in parts.kinds:
        noun = at_work.kind.noun
        try:
            held = await at_work.held_by(f"{host}:{pid}:")
            count = await hand_over(parts.temporal, held, identity=f"{pid}@{host}")
        except Unavailable as error:
            logger.warning("What the worker before held (%s) is left to its time-outs: %s", noun, error)
        else:
            logger.info("Took over %s attempts (%s) of worker %s, which is dead", count, noun, pid)


async def _wake_waiting(parts: bootstrap.WorkerParts) -> None:
    """What waited for a worker like this one need not wait any longer."""
    for at_work in parts.kinds:
        try:
            if at_work.waiting is not None and (waiting := await at_work.waiting()):
                count = await wake(parts.temporal, waiting)
                logger.info("Woke %s attempts (%s) that waited for a worker", count, at_work.kind.noun)
        except Unavailable as error:
            logger.warning("What waits for a worker (%s) wakes by itself: %s", at_work.kind.noun, error)


def build_worker(settings: Settings, parts: bootstrap.WorkerParts) -> Worker:
    """A worker for every workflow and every activity of Pavo; short ones run inside its workflow tasks."""
    version = _version(settings.execution)
    return Worker(
        parts.temporal,
        task_queue=settings.temporal.task_queue,
        # The default is a hash of every loaded module: half a second at each start.
        build_id=None if version else f"pavo-{__version__}",
        workflows=workflows_of([each.kind for each in parts.kinds]),
        workflow_runner=Sandbox(),
        activities=[
            activity
            for each in parts.kinds
            for instance in (*each.long, *each.plans, *each.short)  # a build of before plans in here
            for activity in implementations(instance)
        ],
        max_concurrent_activities=settings.execution.max_activities or 2 * settings.execution.max_tasks + HANDING_BACK,
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        workflow_task_executor=ThreadPoolExecutor(WORKFLOW_THREADS, thread_name_prefix="workflow"),
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_SECONDS),
        default_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_SECONDS),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=timedelta(seconds=GRACEFUL_SECONDS),
        deployment_config=version,
    )


def build_plan_worker(settings: Settings, parts: bootstrap.WorkerParts) -> Worker | None:
    """A worker for the activities that plan, in slots of their own: they wait for no execution, nor it for them. None
    where no kind plans."""
    instances, execution = [instance for each in parts.kinds for instance in each.plans], settings.execution
    if not instances:
        return None
    slots = execution.max_activities or 2 * (execution.max_plans or execution.max_tasks) + HANDING_BACK
    return _activity_worker(settings, parts, plan_queue(settings.temporal.task_queue), instances, slots)


def build_short_worker(settings: Settings, parts: bootstrap.WorkerParts) -> Worker:
    """A worker for the short activities alone, in slots of their own: they never wait behind agents, however few of
    those may run at once."""
    instances = [instance for each in parts.kinds for instance in each.short]
    queue = short_queue(settings.temporal.task_queue)
    return _activity_worker(settings, parts, queue, [*instances, parts.reconciler], SHORT_TASKS)


def _activity_worker(
    settings: Settings, parts: bootstrap.WorkerParts, queue: str, instances: Sequence[object], slots: int
) -> Worker:
    version = _version(settings.execution)
    return Worker(
        parts.temporal,
        task_queue=queue,
        build_id=None if version else f"pavo-{__version__}",
        activities=[each for instance in instances for each in implementations(instance)],
        max_concurrent_activities=slots,
        max_concurrent_activity_task_polls=1,
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_SECONDS),
        default_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_SECONDS),
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
