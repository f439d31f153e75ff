"""How many statements a request costs PostgreSQL: loading and authorising the task is one of them, never two."""

import uuid
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import httpx2
import psycopg
import pytest
import pytest_asyncio

from pavo.api import create_app
from pavo.config import Settings
from tests.driving import Tasks

COUNTED: ContextVar[list[str] | None] = ContextVar("counted", default=None)
"""Where the statements of this request go; what runs beside it has none."""


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    execute = psycopg.AsyncCursor.execute

    async def counted(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        statements = COUNTED.get()
        if statements is not None:
            statements.append(str(query))
        return await execute(self, query, *arguments, **named)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)


@pytest_asyncio.fixture
async def here(settings: Settings, stack: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API in this process, where its statements can be counted."""
    app = create_app(settings)
    headers = {"X-User-Email": "ada@example.com"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://localhost", headers=headers, timeout=30
        ) as client,
    ):
        assert (await client.get(f"/api/tasks/{uuid.uuid4()}")).status_code == 404  # who Ada is, is known from here on
        yield client


async def cost(client: httpx2.AsyncClient, method: str, path: str, status: int, **more: Any) -> int:
    statements: list[str] = []
    reset = COUNTED.set(statements)
    try:
        answer = await client.request(method, path, **more)
    finally:
        COUNTED.reset(reset)
    assert answer.status_code == status, answer.text
    return len(statements)


async def test_reading_loads_the_task_once(tasks: Tasks, here: httpx2.AsyncClient) -> None:
    task = await tasks.reviewable()
    path, document = f"/api/tasks/{task['id']}", task["plan"]["document_id"]
    costs: dict[str, int] = {
        "task": await cost(here, "GET", path, 200),
        "events": await cost(here, "GET", f"{path}/events", 200),
        "documents": await cost(here, "GET", f"{path}/documents", 200),
        "document": await cost(here, "GET", f"{path}/documents/{document}", 200),
        "status": await cost(here, "GET", "/agent_status", 200, params={"task_id": task["id"]}),
        "unknown": await cost(here, "GET", f"/api/tasks/{uuid.uuid4()}/events", 404),
    }
    most = {"task": 1, "events": 3, "documents": 3, "document": 3, "status": 1, "unknown": 1}
    assert all(0 < costs[name] <= most[name] for name in most), costs
    await tasks.post(f"{task['id']}/stop")


async def test_a_command_loads_the_task_once(tasks: Tasks, here: httpx2.AsyncClient) -> None:
    task_id = await tasks.create()
    path = f"/api/tasks/{task_id}"
    costs = {"start": await cost(here, "POST", f"{path}/start", 200)}
    task = await tasks.wait(task_id, "WAIT_RFC")
    comment, accept = f"{path}/documents/{task['plan']['document_id']}/feedback", f"{path}/plan/accept"
    costs["refused"] = await cost(here, "POST", accept, 409, json={"hash": "another"})
    costs["accept"] = await cost(here, "POST", accept, 200, json={"hash": task["plan"]["hash"]})
    await tasks.wait(task_id, "DONE")
    costs["late comment"] = await cost(here, "POST", comment, 409, json={"body": "Too late."})
    costs["stop"] = await cost(here, "POST", f"{path}/stop", 200)
    costs["end of stream"] = await cost(here, "GET", f"{path}/stream?after=1000000", 204)
    other = await here.post("/create_task_id", json={"title": "Another"})
    costs["legacy start"] = await cost(here, "POST", f"/tasks/{other.json()['task_id']}/message", 200)
    most = {"start": 2, "refused": 1, "accept": 2, "late comment": 3, "stop": 2, "end of stream": 2, "legacy start": 2}
    assert all(0 < costs[name] <= most[name] for name in most), costs
