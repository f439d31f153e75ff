"""The worker: assembles workflows and activities and runs them until it is told to end."""

import asyncio
import logging
import signal
from datetime import timedelta

import uvloop
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
from temporalio.worker import Worker

from pavo import bootstrap
from pavo.config import Settings
from pavo.kit.ready import announce_ready
from pavo.logging import configure_logging
from pavo.observe.listener import listening_if_wanted
from pavo.tasks.census import task_ids
from pavo.tasks.contracts import HEARTBEAT_SECONDS
from pavo.tasks.reconcile_workflow import ReconcileTasks
from pavo.tasks.workflow import AgentTask
from pavo.temporal.activities import implementations

logger = logging.getLogger(__name__)

WORKFLOWS = [AgentTask, ReconcileTasks]
WORKFLOW_TASKS = 8
"""At once in this process. Each is a thread that wants the interpreter: with a hundred, heartbeats came late."""
STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a workflow task waits for the worker that has the workflow in memory before any other may take it."""
GRACEFUL_SECONDS = 12.0
"""For activities to end after a shutdown: an agent's stop_grace is 5 s by default, and the commit comes after it."""
RECONCILE_SCHEDULE = "pavo-reconcile"
RECONCILE_EVERY = timedelta(minutes=1)


def serve(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT; steps in flight are recorded or repeated elsewhere."""
    configure_logging(settings.logging, task_ids)
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        bootstrap.worker_parts(settings) as parts,
        listening_if_wanted(settings.metrics, parts.scrape),
        build_worker(settings, parts),
    ):
        await ensure_schedule(parts.temporal, settings.temporal.task_queue)
        announce_ready()
        logger.info("Worker ready on task queue %s", settings.temporal.task_queue)
        await stop.wait()
        logger.info("Worker is ending")


def build_worker(settings: Settings, parts: bootstrap.WorkerParts) -> Worker:
    """A worker for every workflow and activity of Pavo."""
    return Worker(
        parts.temporal,
        task_queue=settings.temporal.task_queue,
        workflows=WORKFLOWS,
        activities=[
            *implementations(parts.agent_work),
            *implementations(parts.projection),
            *implementations(parts.reconciler),
        ],
        max_concurrent_activities=settings.execution.max_tasks,
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_SECONDS),
        default_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_SECONDS),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=timedelta(seconds=GRACEFUL_SECONDS),
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
