"""A local engine, and tools that note how they are called."""

import uuid
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from pavo.flows.definition.definition import Definition
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.steps import LocalSteps
from pavo.flows.runs import RunService
from pavo.kit.sql import Database
from pavo.tools.registry import ToolRegistry
from tests.flows.local.doubles import Called, Local, Pages


@pytest.fixture
def tools() -> Called:
    return Called()


@pytest_asyncio.fixture
async def local(
    database: Database,
    evaluator: Evaluator,
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    tools: Called,
) -> AsyncIterator[Local]:
    registry = ToolRegistry({}, tools)
    steps = LocalSteps(registry, registry, Pages())
    yield Local(RunService(database), LocalEngine(database, steps, evaluator), steps, organisation, define)
    tools.hold.set()
