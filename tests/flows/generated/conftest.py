"""What tests of generated flows share: a scripted model, and an API that asks it."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text as sql

from pavo.config import LlmSettings
from pavo.flows.checking.checked import KnownNames
from pavo.flows.checking.checker import FlowChecker
from pavo.flows.generated.asking import subject_of
from pavo.flows.generated.examiner import ProposalExaminer
from pavo.flows.generated.prompt import Described, Offered
from pavo.flows.generated.service import Answered, Asked, FlowGenerator
from pavo.flows.published.service import PublishedFlows
from pavo.kit.sql import Database
from pavo.llm.calls import ModelCalls
from pavo.usage.prices import PriceTable
from tests.flows.published.people import Person, somebody
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Parts, free_port

OFFERED = Offered(
    KnownNames(
        tools={"crm.get": [1], "mail.send": [1]}, agents=["intern"], repositories=["acme/site"], flows={"pay": [1, 2]}
    ),
    [Described("crm.get", "Reads a ticket.", "read"), Described("mail.send", "Sends mail.", "unsafe")],
    [Described("intern", "Does what it is told.")],
)
FLOW = """flow: tell
inputs: {ticket: {type: string}}
steps:
  fetch:
    tool: crm.get@1
    with: {id: "${{ inputs.ticket }}"}
    output: {type: object, required: [sum], properties: {sum: {type: integer}}}
  mail:
    needs: fetch
    if: ${{ steps.fetch.output.sum > 10 }}
    tool: mail.send@1
    with: {text: "${{ inputs.ticket }}: ${{ steps.fetch.output.sum }}"}
"""
CASES = """cases:
  - name: large sums are told
    inputs: {ticket: T1}
    fakes: {fetch: {output: {sum: 50}}}
    expect: {steps: {mail: succeeded}}
  - name: small ones are not
    inputs: {ticket: T1}
    fakes: {fetch: {output: {sum: 1}}}
    expect: {steps: {mail: skipped}}
"""


def said(flow: str = FLOW, cases: str | None = CASES) -> dict[str, Any]:
    """An answer of the model."""
    more = f"```cases\n{cases}```\n" if cases is not None else ""
    return {"text": f"Here it is.\n```flow\n{flow}```\n{more}"}


class Limited(ProposalExaminer):
    """May be given less time; the processes begin with it."""

    def limit(self, seconds: float) -> None:
        self.__init__(seconds)


@dataclass
class Writing:
    """An organisation for which flows are written."""

    database: Database
    server: ModelServer
    organisation_id: uuid.UUID
    user_id: uuid.UUID
    person: Person
    examiner: "Limited"
    settings: dict[str, Any]
    generator: Callable[[], FlowGenerator]
    script: ModelScript = field(init=False)

    def __post_init__(self) -> None:
        self.script = ModelScript(self.server, "")

    async def write(self, *answers: dict[str, Any], offered: Offered = OFFERED, **asked: Any) -> Answered:
        if answers:
            self.script.tell(*answers)
        given = {"request": "Tell of large sums.", **asked}
        return await self.generator().generate(Asked(self.organisation_id, self.user_id, **given), offered)

    async def age(self, table: str, column: str) -> None:
        """Have all of this organisation's generations be two hours older."""
        column_of = {"budget_reservations": "task_id", "model_calls": "subject_id"}[table]
        query = f"UPDATE {table} SET {column} = {column} - interval '2 hours' WHERE {column_of} = :subject"
        async with self.database.transaction() as session:
            await session.execute(sql(query), {"subject": subject_of(self.organisation_id).id})

    async def count(self, query: str) -> int:
        async with self.database.reading() as session:
            return (await session.execute(sql(query), {"organisation": self.organisation_id})).scalar_one()


@pytest_asyncio.fixture
async def writing(database: Database, model_server: ModelServer, tmp_path: Path, stack: str) -> AsyncIterator[Writing]:
    (tmp_path / "prices.toml").write_text('[[models]]\nmatch = "scripted"\ninput = 1000\noutput = 1000\n')
    prices = PriceTable.load(tmp_path / "prices.toml")
    async with AsyncExitStack() as closing, somebody(stack) as person:
        checker, examiner = FlowChecker(60), Limited(60)
        closing.push_async_callback(checker.close)
        settings: dict[str, Any] = {"base_url": model_server.base_url, "model": "scripted", "tries": 2}

        def generator() -> FlowGenerator:
            calls = ModelCalls(database, LlmSettings(**settings), prices)
            closing.push_async_callback(calls.close)
            return FlowGenerator(database, calls, examiner, PublishedFlows(database, checker))

        user = uuid.UUID((await person.get("/session"))["user_id"])
        given = (database, model_server, person.organisation_id, user, person, examiner, settings, generator)
        yield Writing(*given)
        await examiner.close()


@pytest_asyncio.fixture(scope="module")
async def asking_api(parts: Parts, stack: str, model_server: ModelServer) -> AsyncIterator[str]:
    """An API whose models are scripted; the workers are the stack's."""
    port = str(free_port())
    api = await parts.start("api", PAVO_PORT=port, PAVO_LLM_BASE_URL=model_server.base_url, PAVO_LLM_MODEL="scripted")
    yield f"http://127.0.0.1:{port}"
    api.end()


@pytest_asyncio.fixture
async def author(asking_api: str) -> AsyncIterator[Person]:
    async with somebody(asking_api) as found:
        yield found


@pytest.fixture
def script(model_server: ModelServer) -> ModelScript:
    """What the model of that API says."""
    return ModelScript(model_server, "")
