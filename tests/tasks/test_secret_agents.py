"""Agents read secrets of their organisation: those that they declare, in both isolations, and nothing else has them."""

import base64
import json
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client

from pavo.agents.secrets.declared import NoSecrets, declared_secrets
from pavo.errors import AgentRefused
from pavo.kit.sql import Database
from pavo.testing import AgentTrial
from pavo.testing.outcome import ContractBroken
from tests.driving import Tasks, until
from tests.guides import run_files
from tests.parts import Part, Parts, free_port
from tests.tasks.secret_agents import Reading, ReadingApart, install

AGENTS = ["reading", "reading_apart"]
CANARY = "canary-a77e-do-not-show"
KEY = base64.b64encode(b"k" * 32).decode()


@dataclass
class Own:
    """A stack that knows the reading agents."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, Any]
    worker: Part
    api: Part
    place: str

    async def set(self, name: str, value: str) -> None:
        answer = await self.tasks.client.put(f"{self.place}/{name}", json={"value": value})
        assert answer.status_code == 200, answer.text

    async def report(self, task_id: str) -> str:
        (found,) = [each for each in await self.tasks.documents(task_id) if each["kind"] == "REPORT"]
        return found["body"]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"reading-{uuid.uuid4().hex[:8]}", str(free_port())
    environment: dict[str, Any] = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_SEALING_KEY": KEY}
    environment["PAVO_LOG_LEVEL"] = "DEBUG"
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        mine = (await client.get("/api/organisations")).json()["items"][0]["id"]
        stack = Own(Tasks(client), parts, environment, worker, api, f"/api/organisations/{mine}/secrets")
        await stack.set("TOKEN", CANARY)
        await stack.set("UNDECLARED", f"{CANARY}-undeclared")
        yield stack
    for process in (stack.worker, api):
        process.end()


@pytest.mark.parametrize("agent", AGENTS)
async def test_it_gets_what_it_declares_and_nothing_else(own: Own, agent: str) -> None:
    options = {"names": ["TOKEN", "UNDECLARED", "ABSENT", "../TOKEN"]}
    task_id = await own.tasks.started(options, agent_type=agent, auto_accept=True)
    await own.tasks.wait(task_id, "DONE")
    events = await own.tasks.events(task_id)
    assert str(len(CANARY)) in (await own.report(task_id))
    assert CANARY not in json.dumps(events)
    report = await own.report(task_id)
    assert "'held': []" in report and "does not declare '../TOKEN'" in report


@pytest.mark.parametrize("agent", AGENTS)
async def test_undeclared_fails_with_the_remedy_and_absent_goes_on_once_it_is_set(own: Own, agent: str) -> None:
    undeclared = {"names": ["UNDECLARED"], "fatal": ["UNDECLARED"]}
    task_id = await own.tasks.started(undeclared, agent_type=agent, auto_accept=True)
    failed = await own.tasks.wait(task_id, "FAILED")
    assert "UNDECLARED" in json.dumps(failed["error"]) and "secrets = " in json.dumps(failed["error"])
    await own.tasks.client.delete(f"{own.place}/ABSENT")
    absent = {"names": ["TOKEN", "ABSENT"], "fatal": ["ABSENT"]}
    task_id = await own.tasks.started(absent, agent_type=agent, auto_accept=True)
    failed = await own.tasks.wait(task_id, "FAILED")
    assert "pavo secret set ABSENT" in json.dumps(failed["error"]) and failed["steps"] == 1
    await own.set("ABSENT", f"{CANARY}-absent")
    await own.tasks.post(f"{task_id}/resume")
    await own.tasks.wait(task_id, "DONE")
    await own.tasks.client.delete(f"{own.place}/ABSENT")


async def test_nothing_that_is_kept_or_told_has_a_value(own: Own, database: Database, temporal: Client) -> None:
    for agent in AGENTS:
        raises = {"names": ["TOKEN", "UNDECLARED"], "raises": True}
        task_id = await own.tasks.started(raises, agent_type=agent, auto_accept=True)
        await own.tasks.wait(task_id, "DONE", "FAILED")
        causes = [event["error"] for event in await own.tasks.events(task_id) if event["type"] == "retry"]
        assert causes and all("after *** was read" in cause for cause in causes), "what an exception quotes is hidden"
        told = await own.tasks.client.get(f"/api/tasks/{task_id}/logs")
        assert CANARY not in told.text and told.text.count("It is ***") >= 2 and "after *** was read" in told.text
        workflow = (await own.tasks.get(task_id))["workflow_id"]
        history = await temporal.get_workflow_handle(workflow).fetch_history()
        assert (
            CANARY not in history.to_json() and base64.b64encode(CANARY.encode()).decode()[:-4] not in history.to_json()
        )
    async with database.reading() as session:
        tables = (await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).all()
        for table in tables:
            statement = text(f"SELECT count(*) FROM {table} t WHERE t::text LIKE :canary")
            assert (await session.scalars(statement, {"canary": f"%{CANARY}%"})).one() == 0, table
    for part in (own.worker, own.api):
        assert CANARY not in part.log.read_text() and KEY not in part.log.read_text()


@pytest.mark.fault
async def test_a_worker_without_the_key_blames_no_agent(own: Own) -> None:
    own.worker.end()
    other = base64.b64encode(b"o" * 32).decode()
    environment: dict[str, Any] = {**own.environment, "PAVO_SEALING_KEY": other}
    stranger = await own.parts.start("worker", **environment)
    task_id = await own.tasks.started({"names": ["TOKEN"]}, agent_type="reading", auto_accept=True)

    async def told() -> bool:
        return "cannot be opened" in stranger.log.read_text() or (await own.tasks.get(task_id))["stage"] == "FAILED"

    await until(told, what="the outage")
    assert (await own.tasks.get(task_id))["stage"] != "FAILED"
    stranger.end()
    own.worker = await own.parts.start("worker", **own.environment)
    await own.tasks.wait(task_id, "DONE")


@pytest.mark.parametrize("agent", [Reading, ReadingApart])
def test_a_trial_gives_what_is_declared(agent: type[Reading]) -> None:
    options = {"names": ["TOKEN", "UNDECLARED", "ABSENT"]}
    outcome = AgentTrial(agent, options=options, secrets={"TOKEN": CANARY, "UNDECLARED": "x"}).check()
    lengths = [step.checkpoint["length"] for step in outcome.steps]
    refused = [step.checkpoint["refused"] for step in outcome.steps]
    assert lengths == [len(CANARY), 0, 0] and "does not declare" in refused[1] and "no secret 'ABSENT'" in refused[2]
    with pytest.raises(ContractBroken, match="no secret 'TOKEN'"):
        AgentTrial(agent, options=options).check()


@pytest.mark.parametrize("declared", ["TOKEN", {"TOKEN": 1}, ("a b",), (1,), ("x" * 101,), ["x"] * 51, None])
def test_a_class_that_declares_nonsense_is_refused(declared: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"Wrong\.secrets"):
        declared_secrets("Wrong", declared)


async def test_a_context_that_is_made_by_hand_has_none() -> None:
    with pytest.raises(AgentRefused):
        await NoSecrets().secret("TOKEN")


def test_what_the_guide_shows_runs(tmp_path: Path) -> None:
    run_files("secrets", ["poster.py", "test_poster.py"], tmp_path)
