"""Workers for runs of flows alone, on a task queue of their own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.client import Client
from temporalio.worker import Worker

from pavo import __version__
from pavo.flows.attempts import Steps
from pavo.flows.evaluation import Evaluates
from pavo.flows.temporal.accounts import Accounts, Publish
from pavo.flows.temporal.advancing import RunAdvancing
from pavo.flows.temporal.attempting import StepAttempts
from pavo.flows.temporal.workflow import FlowRun
from pavo.kit.sql import Database
from pavo.runs.story import short_queue
from pavo.temporal.activities import implementations
from pavo.temporal.queues import STICKY_TIMEOUT
from pavo.temporal.sandbox import Sandbox


@asynccontextmanager
async def working(
    temporal: Client, database: Database, steps: Steps, evaluator: Evaluates, queue: str, publish: Publish
) -> AsyncGenerator[None]:
    """Runs of this task queue are executed here meanwhile."""
    accounts = Accounts(steps, evaluator)
    short = implementations(RunAdvancing(database, accounts, publish))
    attempts = implementations(StepAttempts(database, steps, accounts, publish))
    build = f"pavo-{__version__}"  # the default is a hash of every loaded module
    async with (
        Worker(temporal, task_queue=short_queue(queue), activities=short, build_id=build),
        Worker(
            temporal,
            task_queue=queue,
            build_id=build,
            workflows=[FlowRun],
            activities=[*short, *attempts],
            workflow_runner=Sandbox(),
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        ),
    ):
        yield
