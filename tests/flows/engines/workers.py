"""A worker for runs in the process of whoever wants one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.client import Client
from temporalio.worker import Worker

from pavo.flows.evaluation import Evaluates
from pavo.flows.local.steps import LocalSteps
from pavo.flows.temporal.accounts import Accounts
from pavo.flows.temporal.advancing import RunAdvancing
from pavo.flows.temporal.attempting import StepAttempts
from pavo.flows.temporal.workflow import FlowRun
from pavo.kit.sql import Database
from pavo.runs.story import short_queue
from pavo.temporal.activities import implementations
from pavo.temporal.sandbox import Sandbox
from pavo.worker import STICKY_TIMEOUT


@asynccontextmanager
async def working(
    temporal: Client, database: Database, steps: LocalSteps, evaluator: Evaluates, queue: str
) -> AsyncGenerator[None]:
    """A worker for runs, in this process."""

    def nobody(_: object) -> None:
        """Looks."""

    accounts = Accounts(steps, evaluator)
    short = implementations(RunAdvancing(database, accounts, nobody))
    long = [*short, *implementations(StepAttempts(database, steps, accounts, nobody))]
    runner = Sandbox()
    async with (
        Worker(temporal, task_queue=short_queue(queue), activities=short),
        Worker(
            temporal,
            task_queue=queue,
            workflows=[FlowRun],
            activities=long,
            workflow_runner=runner,
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        ),
    ):
        yield
