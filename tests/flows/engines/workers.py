"""A worker for runs in the process of whoever wants one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.client import Client

from pavo.flows.attempts import Steps
from pavo.flows.driving import unheard
from pavo.flows.evaluation import Evaluates
from pavo.flows.temporal import workers
from pavo.kit.sql import Database


@asynccontextmanager
async def working(
    temporal: Client, database: Database, steps: Steps, evaluator: Evaluates, queue: str
) -> AsyncGenerator[None]:
    """A worker for runs, in this process."""
    async with workers.working(temporal, database, steps, evaluator, queue, unheard):
        yield
