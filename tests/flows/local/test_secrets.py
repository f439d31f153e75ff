"""Steps are told secrets, and nobody else is."""

import base64
import io
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import text

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.config import SealingSettings
from pavo.flows.definition.definition import Definition
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.steps import LocalSteps
from pavo.flows.runs import RunService
from pavo.kit.sql import Database
from pavo.logging import JsonFormatter, TextFormatter
from pavo.tools.described import tool_of
from pavo.tools.registry import ToolRegistry
from tests.flows.local.doubles import Called, Local, Pages

VALUE = 's3cr\u00e9t "value" of 42 knights'
BLOB = "Zm9ydHktdHdv"
logger = logging.getLogger("a tool")


@dataclass
class Telling(Called):
    """Tools that tell whatever they are told."""

    told: list[Any] = field(default_factory=list[Any])

    def __post_init__(self) -> None:
        super().__post_init__()
        for function in (self.takes, self.breaks):
            self.functions[function.__name__] = tool_of(function.__name__, function)

    def takes(self, key: Any, more: Any = None) -> Any:
        """Keep it."""
        self.told.append((key, more))
        logger.warning("The key is %s", key)
        return {"key": key, "deep": [{f"it is {key}": f"<{key}>"}], "more": more, "n": 42}

    def breaks(self, key: str) -> None:
        """Say it."""
        logger.error("With %s", key)
        raise ValueError(f"{key} is refused")


@pytest.fixture
def tools() -> Telling:
    return Telling()


@pytest_asyncio.fixture
async def local(
    database: Database,
    evaluator: Evaluator,
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    tools: Telling,
) -> AsyncIterator[Local]:
    registry: ToolRegistry = ToolRegistry({}, tools)
    key = base64.b64encode(bytes(32)).decode()
    secrets = SecretService(database, KeyRing.of(SealingSettings.model_construct(key=SecretStr(key), former_keys=None)))
    await secrets.set(organisation, "KEY", VALUE)
    await secrets.set(organisation, "BLOB", BLOB)
    await secrets.set(await _other(database), "THEIRS", VALUE)
    steps = LocalSteps(registry, registry, Pages(), secrets)
    yield Local(RunService(database), LocalEngine(database, steps, evaluator), steps, organisation, define)
    tools.hold.set()


async def _other(database: Database) -> uuid.UUID:
    found = uuid.uuid4()
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO organisations (id, name) VALUES (:id, 'other')"), {"id": found})
    return found


async def places(database: Database, value: str) -> list[str]:
    """Tables that hold it anywhere."""
    found = list[str]()
    async with database.reading() as session:
        tables = await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        for table in tables.all():
            query = text(f"SELECT count(*) FROM {table} AS t WHERE strpos(CAST(t AS text), :value) > 0")
            if (await session.scalars(query, {"value": value})).one():
                found.append(table)
    return found


@pytest.fixture(params=[JsonFormatter, TextFormatter])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What a worker's log says."""
    found = io.StringIO()
    handler = logging.StreamHandler(found)
    handler.setFormatter(request.param())
    logging.getLogger().addHandler(handler)
    yield found
    logging.getLogger().removeHandler(handler)


async def check_nothing_is_told(database: Database, log: io.StringIO) -> None:
    """Of any secret, in the database and in the log."""
    assert "***" in log.getvalue()
    for value in (VALUE, "knights", BLOB):
        assert await places(database, value) == []
        assert value not in log.getvalue()


FLOW = """
flow: f
inputs: {foreign: {}}
secrets: [KEY, BLOB]
result: "${{ steps.first.output }}"
steps:
  first:
    tool: takes@1
    with: {key: {secret: KEY}, more: [{secret: BLOB}, "${{ inputs.foreign }}", {a: {secret: KEY}}]}
    compensate: {tool: breaks@1, with: {key: {secret: BLOB}}}
  second:
    needs: first
    for_each: {in: "${{ [1, 2] }}", max: 2}
    python: takes
    with: {key: {secret: BLOB}, more: "${{ steps.first.output }}"}
"""


async def test_a_step_is_told_secrets_and_what_it_tells_is_without_them(
    local: Local, tools: Telling, database: Database, log: io.StringIO
) -> None:
    foreign = {"secret": "KEY"}
    found = await local.run(FLOW, {"foreign": foreign})
    assert found.state == "succeeded", found.error
    assert tools.told[0] == (VALUE, [BLOB, foreign, {"a": VALUE}])
    assert [key for key, _ in tools.told[1:]] == [BLOB, BLOB]
    hidden = ["***", foreign, {"a": "***"}]
    assert found.result == {"key": "***", "deep": [{"it is ***": "<***>"}], "more": hidden, "n": 42}
    await check_nothing_is_told(database, log)


async def test_errors_hide_them_and_so_does_what_undoes_a_step(
    local: Local, tools: Telling, database: Database, log: io.StringIO
) -> None:
    flow = FLOW.replace("secrets: ", "on_failure: {compensate: true}\nsecrets: ")
    third = "third: {needs: second, tool: breaks@1, with: {key: {secret: KEY}}}"
    found = await local.run(f"{flow}  {third}\n", {"foreign": 1})
    assert found.state == "failed" and found.error is not None and "*** is refused" in found.error
    undone = [each for key, each in (await local.history(found.id)).results.items() if key.undoes]
    assert [each.error for each in undone if each.error and "*** is refused" in each.error]
    await check_nothing_is_told(database, log)


async def test_a_secret_that_is_not_there_fails_its_step(local: Local, tools: Telling) -> None:
    flow = "flow: f\nsecrets: [THEIRS]\nsteps: {a: {tool: takes@1, with: {key: {secret: THEIRS}}}}"
    found = await local.run(flow)
    assert found.state == "failed" and found.error is not None and "no secret 'THEIRS'" in found.error
    assert "pavo secret set THEIRS" in found.error and tools.told == []
