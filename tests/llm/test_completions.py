"""Agents ask models: what was recorded is never asked for again, whatever dies."""

import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import func, select, text

from pavo.kit.sql import Database
from pavo.llm.models import ModelCallRow
from tests.driving import Tasks, until
from tests.llm.completing_agents import install
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Part, Parts, free_port

AGENTS = ["completing", "completing_apart"]
ADA = "ada.models@example.com"
KEY = "sk-canary-7d2e"


@dataclass
class Own:
    """A stack that knows the completing agents, and the server of their models."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part
    models: ModelServer
    workers: list[Part] = field(default_factory=list)

    async def new_worker(self) -> None:
        self.worker = await self.parts.start("worker", **self.environment)
        self.workers.append(self.worker)


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"completing-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment["PAVO_AGENT_CONFINEMENT"] = "off"  # these agents look at a folder of the test's
    environment |= {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": KEY, "PAVO_LLM_MODEL": "scripted"}
    environment["PAVO_LLM_STEP_TOKENS"] = "20000"
    environment["PAVO_LLM_SILENCE_SECONDS"] = "60"  # what is held is not stalled
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": ADA}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker, model_server, [worker])
        yield stack
    for process in (*stack.workers, api):
        process.end()
    for process in (*stack.workers, api):
        assert KEY not in process.log.read_text(), "the key is in a log"


class Asking:
    """A task whose agent asks models, and what they are to answer."""

    def __init__(self, own: Own, folder: Path) -> None:
        self.own, self.tasks, self.folder, self.id = own, own.tasks, folder, ""
        self.script: ModelScript = own.models.script({"text": "Yes."}, key=KEY)

    async def start(self, agent: str, *, auto_accept: bool = True, **options: Any) -> None:
        given = {"user": self.script.name, "folder": str(self.folder), **options}
        self.id = await self.tasks.started(given, agent_type=agent, auto_accept=auto_accept)

    def asked(self) -> dict[str, int]:
        """How often each text was asked."""
        found: dict[str, int] = {}
        for request in self.script.told()["requests"]:
            text = request["messages"][0]["content"]
            found[text] = found.get(text, 0) + 1
        return found

    async def until_asked(self, *texts: str) -> None:
        async def asked() -> bool:
            return set(texts) <= set(self.asked())

        await until(asked, what=f"requests {texts}")

    async def done(self) -> str:
        await self.tasks.wait(self.id, "DONE")
        return next(each for each in await self.tasks.documents(self.id) if each["kind"] == "REPORT")["body"]


@pytest.fixture
def asking(own: Own, tmp_path: Path) -> Asking:
    return Asking(own, tmp_path)


async def rows(database: Database, task_id: str) -> list[ModelCallRow]:
    async with database.reading() as session:
        query = select(ModelCallRow).where(ModelCallRow.subject_id == uuid.UUID(task_id))
        return list(await session.scalars(query))


@pytest.mark.parametrize("agent", AGENTS)
async def test_what_was_recorded_is_not_asked_for_again(asking: Asking, agent: str) -> None:
    (asking.folder / "fail").touch()
    await asking.start(agent, auto_accept=False, at_once=2)
    task = await asking.tasks.wait(asking.id, "WAIT_RFC")
    plan = task["plan"]["document_id"]
    await asking.tasks.post(f"{asking.id}/documents/{plan}/feedback", 201, body="Consider this.")
    await asking.tasks.post(f"{asking.id}/plan/done-reviewing")

    async def revised() -> bool:
        return (await asking.tasks.get(asking.id)).get("plan", {}).get("version") == 2

    await until(revised, what="the second version")
    await asking.tasks.wait(asking.id, "WAIT_RFC")
    await asking.tasks.accept(await asking.tasks.get(asking.id))
    report = await asking.done()
    assert report.startswith("Yes. [['Yes.', 'Yes.', 'Yes.']]")
    if agent == "completing_apart":
        assert report.endswith(" []"), "the key is in the environment of the agent's process"
    assert set(asking.asked().values()) == {1}, asking.asked()
    assert set(asking.asked()) == {"plan", "revise", "round 0, 0", "round 0, 1", "keyed 0", "report"}
    events = await asking.tasks.events(asking.id)
    assert KEY not in str(events) + str(await asking.tasks.get(asking.id))


@pytest.mark.fault
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("held", ["round 1", "keyed 1"])
async def test_a_worker_killed_in_mid_answer_asks_once_more_and_nothing_else(
    own: Own, asking: Asking, agent: str, held: str, database: Database
) -> None:
    """What is held is in flight: three calls at once, or the one after them; no checkpoint records theirs yet."""
    asking.script.tell({"text": "Yes.", "hold": held}, key=KEY)
    await asking.start(agent, rounds=3, at_once=3)
    in_flight = ["keyed 1"] if held == "keyed 1" else [f"round 1, {number}" for number in range(3)]
    await asking.until_asked(*in_flight)
    own.worker.kill()
    asking.script.release()
    await own.new_worker()
    await asking.done()
    expected = {"plan": 1, "report": 1, **{f"keyed {number}": 1 for number in range(3)}}
    expected |= {f"round {number}, {each}": 1 for number in range(3) for each in range(3)}
    assert asking.asked() == expected | dict.fromkeys(in_flight, 2), "recorded answers once, those in flight once more"
    again = [row.runs for row in await rows(database, asking.id) if row.runs > 1]
    assert again == [2] * len(in_flight), "the journal counts what was asked twice"


@pytest.mark.fault
async def test_a_model_server_that_is_killed_is_asked_again_when_it_is_back(own: Own, asking: Asking) -> None:
    asking.script.tell({"text": "Yes.", "hold": True}, key=KEY)
    await asking.start("completing", auto_accept=False)
    await asking.until_asked("plan")
    own.models.kill()
    own.models.start()
    asking.script.release()
    await asking.tasks.wait(asking.id, "WAIT_RFC")
    assert asking.asked()["plan"] == 2, "once for the server's death"
    await asking.tasks.accept(await asking.tasks.get(asking.id))
    assert "Yes." in await asking.done()


@pytest.mark.parametrize("agent", ["completing_wrongly", "completing_wrongly_apart"])
async def test_bad_calls_are_told_to_the_agent(asking: Asking, agent: str) -> None:
    await asking.start(agent)
    report = await asking.done()
    for told in (
        "complete(): request: str where an object belongs",
        "complete(): request.messages: a list of messages is missing",
        "it holds a NUL character",
        "it holds a value of the type object",
        "it has 17,000,0",
        "complete(): request.model: '7' is no name of a model",
        "complete(): key: 'no key' is no key",
        "ModelRefused: There is no endpoint 'nowhere'",
    ):
        assert told in report, (told, report)


async def test_what_the_server_refuses_fails_the_task_with_the_remedy(asking: Asking) -> None:
    asking.script.tell({"text": "Yes."}, key="another key")
    await asking.start("completing")
    failed = await asking.tasks.wait(asking.id, "FAILED")
    assert "401" in failed["error"]["cause"] and "PAVO_LLM_API_KEY" in failed["error"]["remedy"]
    assert KEY not in str(failed) and "***" in failed["error"]["cause"]
    assert asking.asked() == {"plan": 1}, "asked again, though a try more is useless"


async def test_a_stop_ends_a_call_and_a_resume_makes_it_again(asking: Asking, database: Database) -> None:
    await asking.start("completing", auto_accept=False)
    await asking.tasks.wait(asking.id, "WAIT_RFC")
    asking.script.tell({"text": "Yes.", "hold": "round"}, key=KEY)
    await asking.tasks.accept(await asking.tasks.get(asking.id))
    await asking.until_asked("round 0, 0")
    await asking.tasks.post(f"{asking.id}/stop")
    asking.script.release()
    asking.script.tell({"text": "Yes."}, key=KEY)
    await asking.tasks.post(f"{asking.id}/resume")
    await asking.done()
    assert asking.asked()["plan"] == 1 and asking.asked()["round 0, 0"] <= 2


async def budget(asking: Asking, **limit: Any) -> None:
    sent = await asking.tasks.client.put("/api/budgets", json={"task_id": asking.id, "period": "life", **limit})
    assert sent.status_code == 200, sent.text


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_budget_that_does_not_suffice_asks_people_and_nothing_is_lost(asking: Asking, agent: str) -> None:
    await asking.start(agent, auto_accept=False, at_once=3, rounds=2, more={"max_completion_tokens": 90})
    task = await asking.tasks.wait(asking.id, "WAIT_RFC")
    assert [task["usage"][name] for name in ("calls", "tokens_in", "tokens_out", "cost")] == [1, 2, 2, 0.0]
    await budget(asking, tokens=50)
    await asking.tasks.accept(task)

    async def gates() -> list[dict[str, Any]]:
        answer = await asking.tasks.client.get("/api/gates", params={"task_id": asking.id, "state": "open"})
        return answer.json()["items"]

    [gate] = await until(gates, what="a gate")
    assert gate["kind"] == "budget" and "50 tokens" in gate["text"], gate
    waiting = await asking.tasks.get(asking.id)
    assert waiting["stage_status"].startswith("WAITING:budget/") and asking.asked() == {"plan": 1}
    answered = {"hash": gate["hash"], "answer": {"tokens": 100_000}}
    assert (await asking.tasks.client.post(f"/api/gates/{gate['id']}/answer", json=answered)).status_code == 200
    await asking.done()
    assert set(asking.asked().values()) == {1} and len(asking.asked()) == 10
    done = await asking.tasks.get(asking.id)
    assert done["usage"]["calls"] == 10
    [kept] = (await asking.tasks.client.get("/api/budgets", params={"task_id": asking.id})).json()["items"]
    assert (kept["tokens"], kept["reserved_tokens"]) == (100_000, 0)
    assert kept["used_tokens"] == done["usage"]["tokens_in"] + done["usage"]["tokens_out"]


async def test_an_organisations_budget_that_is_raised_wakes_all_that_wait_for_it(
    asking: Asking, database: Database
) -> None:
    client, member = asking.tasks.client, f"{uuid.uuid4().hex}@example.com"
    waiting = list[str]()
    for _ in range(2):
        await asking.start("completing", auto_accept=False, more={"max_completion_tokens": 90})
        waiting.append((await asking.tasks.wait(asking.id, "WAIT_RFC"))["id"])
    made = (await client.put("/api/budgets", json={"period": "life", "tokens": 10})).json()
    for task in waiting:
        await asking.tasks.accept(await asking.tasks.get(task))

    async def asked() -> list[dict[str, Any]]:
        found = (await client.get("/api/gates", params={"state": "open", "kind": "budget"})).json()["items"]
        return found if {each["task_id"] for each in found} == set(waiting) else []

    first, _ = await until(asked, what="a question of each")
    assert {each["may_answer"] for each in await asked()} == {"owner"}
    await client.get("/api/session", headers={"X-User-Email": member})
    joining = text("""
        INSERT INTO memberships (organisation_id, user_id, role)
        SELECT :organisation, id, 'member' FROM users WHERE email = :email
    """)
    async with database.transaction() as session:
        await session.execute(joining, {"organisation": uuid.UUID(first["organisation_id"]), "email": member})

    async def refused() -> bool:
        answer = {"hash": first["hash"], "answer": {"tokens": 1_000_000}}
        path, who = f"/api/gates/{first['id']}/answer", {"X-User-Email": member}
        return (await client.post(path, json=answer, headers=who)).status_code == 403

    await until(refused, what="the member's refusal")
    assert len(await asked()) == 2, "and it has changed nothing"
    assert (await client.put("/api/budgets", json={"period": "life", "tokens": 1_000_000})).status_code == 200
    for task in waiting:
        await asking.tasks.wait(task, "DONE")
        (closed,) = [each for each in await asking.tasks.events(task) if each["type"] == "gate_closed"]
        assert (closed["answer"], closed["by"], closed["note"]) == (
            "again",
            "policy:budget",
            f"{ADA} has set the budget.",
        )
    assert (await client.delete(f"/api/budgets/{made['id']}")).status_code == 204


@pytest.mark.parametrize("agent", AGENTS)
async def test_tokens_that_lead_to_no_checkpoint_are_asked_about(asking: Asking, agent: str) -> None:
    await asking.start(agent, auto_accept=False, at_once=3)
    task = await asking.tasks.wait(asking.id, "WAIT_RFC")
    asking.script.tell({"text": "x" * 48_000}, key=KEY)  # 12,000 tokens
    await asking.tasks.accept(task)

    async def gates() -> list[dict[str, Any]]:
        answer = await asking.tasks.client.get("/api/gates", params={"task_id": asking.id, "state": "open"})
        return answer.json()["items"]

    [gate] = await until(gates, what="a gate")
    assert gate["kind"] == "question" and "20,000 tokens" in gate["text"] and len(asking.asked()) == 4, gate
    answered = {"hash": gate["hash"], "answer": "go on"}
    assert (await asking.tasks.client.post(f"/api/gates/{gate['id']}/answer", json=answered)).status_code == 200
    asking.script.tell({"text": "Yes."}, key=KEY)
    await asking.done()
    assert set(asking.asked().values()) == {1} and len(asking.asked()) == 6


async def test_where_nobody_can_be_asked_the_task_fails_with_the_remedy_and_goes_on(asking: Asking) -> None:
    asking.id = await asking.tasks.create(
        {"user": asking.script.name, "folder": str(asking.folder)}, agent_type="completing", auto_accept=True
    )
    await budget(asking, tokens=10)
    await asking.tasks.post(f"{asking.id}/start")
    failed = await asking.tasks.wait(asking.id, "FAILED")
    assert "10 tokens" in failed["error"]["cause"] and "pavo budget set" in failed["error"]["remedy"]
    await budget(asking, tokens=1_000_000)
    await asking.tasks.post(f"{asking.id}/resume")
    await asking.done()


async def test_deleted_with_its_task(asking: Asking, database: Database) -> None:
    await asking.start("completing")
    await asking.done()
    assert len(await rows(database, asking.id)) == 4
    assert (await asking.tasks.client.delete(f"/api/tasks/{asking.id}")).status_code == 204
    async with database.reading() as session:
        mine = ModelCallRow.subject_id == uuid.UUID(asking.id)
        assert (await session.scalars(select(func.count()).select_from(ModelCallRow).where(mine))).one() == 0
