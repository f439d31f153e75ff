"""What counts against an agent, and what does not: workers that are killed or frozen never do."""

import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.kit.sql import Database
from tests.driving import Tasks, ticks, types, until
from tests.parts import Part, Parts, free_port
from tests.tasks.blamed_agents import install

AGENTS = ["blamed", "blamed-apart"]


@dataclass
class Own:
    """An API that knows the blamed agents, and workers that come and go."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    workers: list[Part] = field(default_factory=list[Part])

    async def worker(self) -> Part:
        """One more worker."""
        self.workers.append(await self.parts.start("worker", **self.environment))
        return self.workers[-1]

    def end_workers(self) -> None:
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.kill(signal.SIGCONT)
            worker.end()
        self.workers.clear()


@pytest_asyncio.fixture(scope="module")
async def api(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"blame-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    served = await parts.start("api", **environment)
    headers = {"X-User-Email": "blame@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        yield Own(Tasks(client), parts, environment)
    served.end()


@pytest_asyncio.fixture
async def own(api: Own) -> AsyncIterator[Own]:
    yield api
    api.end_workers()


async def held(own: Own, agent: str, where: str, hold: Path) -> str:
    """A task whose agent waits for the file to go."""
    hold.touch()
    options = {"where": where, "hold": str(hold)}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True)
    if where == "execute":
        await until(lambda: recorded(own, path, 1), what="the first step")
    else:
        await own.tasks.wait(path, "PLANNING")
    return path


async def recorded(own: Own, path: str, steps: int) -> bool:
    return (await own.tasks.get(path))["steps"] >= steps


async def recoveries(own: Own, path: str) -> int:
    return types(await own.tasks.events(path)).count("recovered")


async def deaths(database: Database, path: str) -> int:
    async with database.autocommit() as connection:
        query = text("SELECT deaths FROM executions WHERE task_id = :id")
        return (await connection.execute(query, {"id": path})).scalar_one()


@pytest.mark.parametrize("agent", AGENTS)
async def test_killed_and_frozen_workers_never_count(own: Own, database: Database, agent: str, tmp_path: Path) -> None:
    """Four lost workers in one step: it went FAILED "quarantined" at the third."""
    hold = tmp_path / "hold"
    worker = await own.worker()
    path = await held(own, agent, "execute", hold)
    for round_, number in enumerate((signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL, signal.SIGKILL), 1):
        successor = await own.worker()
        worker.kill(number)

        async def recovered(times: int = round_) -> bool:
            return await recoveries(own, path) >= times

        await until(recovered, what="another attempt")
        worker = successor
    assert await deaths(database, path) == 0
    hold.unlink()
    await own.tasks.wait(path, "DONE")
    events = await own.tasks.events(path)
    assert ticks(events) == [1, 2, 3]
    assert not {"retry", "failed"} & set(types(events))


async def test_a_queued_task_says_so(own: Own) -> None:
    path = await own.tasks.create({}, agent_type="blamed")
    assert (await own.tasks.get(path))["stage_status"] == "PENDING"
    await own.tasks.post(f"{path}/start")
    task = await own.tasks.get(path)
    assert (task["stage"], task["stage_status"]) == ("INIT", "QUEUED")
    await own.tasks.post(f"{path}/stop", 202)
    assert (await own.tasks.get(path))["stage"] == "INIT"
    await own.worker()
    await own.tasks.wait(path, "STOPPED")
    receipt = await own.tasks.post(f"{path}/stop")
    assert receipt == {
        "stage": "INIT",
        "last_step": 0,
        "step_cut": False,
        "resume": "No worker had begun it. Resuming makes the plan.",
    }
    await own.tasks.post(f"{path}/resume")
    await own.tasks.wait(path, "WAIT_RFC")


@pytest.mark.parametrize("agent", AGENTS)
async def test_options_of_before_get_new_defaults(own: Own, database: Database, agent: str) -> None:
    path = await own.tasks.create({}, agent_type=agent, auto_accept=True)
    async with database.autocommit() as connection:
        before = text("""UPDATE tasks SET agent_options = '{"hold": "", "newer": {}}' WHERE id = :id""")
        await connection.execute(before, {"id": path})
    await own.tasks.post(f"{path}/start")
    await own.worker()
    await own.tasks.wait(path, "DONE")
    [report] = [document for document in await own.tasks.documents(path) if document["kind"] == "REPORT"]
    given = '{"harm": "", "hold": "", "newer": {"shade": "green"}, "seconds": 0, "where": ""}'
    assert report["body"] == given


@pytest.mark.parametrize("character", ["\U0001f99a", "\x01"])
async def test_as_much_feedback_as_is_accepted_is_revised(own: Own, database: Database, character: str) -> None:
    """500 comments of 20,000 characters; the 501st is refused, and nobody loads the others to see that."""
    await own.worker()
    task = await own.tasks.reviewable({}, agent_type="blamed-apart")
    path, document = task["id"], task["plan"]["document_id"]
    comment = f"{path}/documents/{document}/feedback"
    first = await own.tasks.post(comment, 201, body=character * 20_000)
    async with database.autocommit() as connection:
        copies = text(
            "INSERT INTO feedback (id, task_id, document_id, author_id, body)"
            " SELECT gen_random_uuid(), task_id, document_id, author_id, body FROM feedback, generate_series(1, 499)"
            " WHERE id = :id"
        )
        await connection.execute(copies, {"id": first["id"]})
    refused: dict[str, Any] = await own.tasks.post(comment, 422, body="One more.")
    assert "500 feedback items" in refused["detail"] and refused["field"] == "body"
    await own.tasks.post(f"{path}/plan/done-reviewing", hash=task["plan"]["hash"])

    async def revised() -> bool:
        task = await own.tasks.get(path)
        assert task["stage"] != "FAILED", task["error"]
        return task["plan"]["version"] == 2

    await until(revised, what="the second version")
    async with database.autocommit() as connection:
        query = text("SELECT body FROM documents WHERE task_id = :id AND version = 2")
        body = (await connection.execute(query, {"id": path})).scalar_one()
    assert "I read 10000000 characters." in body
    await own.tasks.client.delete(f"/api/tasks/{path}")
