"""A child is kept waiting by a budget of the task that delegated it: people are asked, and nothing is lost."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from pavo.kit.sql import Database
from tests.delegating.leading import Led
from tests.delegating.leading import Own as Leading
from tests.delegating.leading_agents import install
from tests.driving import until
from tests.llm.scripted import ModelServer, model_server
from tests.parts import Parts
from tests.tasks.own_stack import on_path, own_stack

__all__ = ["model_server"]
PLAN = {"goal": "Answer.", "steps": [{"title": "Answer"}], "risks": [], "tools": []}
ENOUGH = 1_000_000


@pytest_asyncio.fixture(scope="module")
async def asking(
    parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Leading]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    url = f"http://127.0.0.1:{model_server.port}/scripts/"
    body = {"answers": [{"text": "Tea is 7."}], "formed": [{"text": json.dumps(PLAN)}]}
    assert httpx2.put(url, content=json.dumps(body)).status_code == 200
    environment = {"PYTHONPATH": on_path(folder), "PAVO_AGENT_CONFINEMENT": "off", "PAVO_WORKER_TASKS": "1"}
    environment |= {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_MODEL": "scripted"}
    async with own_stack(parts, "asking-above", environment) as stack:
        yield Leading(stack.tasks, stack.parts, stack.environment, stack.worker)


async def test_the_child_asks_for_its_parents_budget_and_goes_on(
    asking: Leading, tmp_path: Path, database: Database
) -> None:
    led = Led(asking, tmp_path, database)
    tasks = led.tasks
    # The child plans within the budget, and is at its first call of `execute` when it is lowered below what it needs.
    wanted = {"agent": "llm", "title": "Ask", "prompt": "What is tea?", "options": {}}
    led.id = await tasks.create({"notes": str(led.notes), "children": [wanted]}, agent_type="leading")

    async def budget(tokens: int) -> dict[str, Any]:
        body = {"task_id": led.id, "period": "life", "tokens": tokens}
        answer = await tasks.client.put("/api/budgets", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    await budget(ENOUGH)
    await tasks.post(f"{led.id}/start")
    parent = await tasks.wait(led.id, "WAIT_RFC")
    await tasks.accept(parent)
    [child] = await led.children()
    reviewed = await tasks.wait(child, "WAIT_RFC")
    used = (await budget(ENOUGH))["used_tokens"]
    assert used > 0, "the child's plan"
    await budget(used)
    await tasks.accept(reviewed)

    async def asked() -> Any:
        found = (await tasks.client.get("/api/gates", params={"task_id": child, "state": "open"})).json()["items"]
        return found[0] if found else None

    gate = await until(asked, what="a question about the budget")
    assert gate["kind"] == "budget" and f"Task {led.id}, for which this one works, has a budget" in gate["text"]
    shown = (await tasks.client.get("/api/budgets", params={"task_id": child})).json()["items"]
    assert [each["task_id"] for each in shown] == [led.id]
    body = {"hash": gate["hash"], "answer": {"tokens": ENOUGH}}
    sent = await tasks.client.post(f"/api/gates/{gate['id']}/answer", json=body)
    assert sent.is_success, sent.text
    assert "Tea is 7." in await led.done()
    [raised] = (await tasks.client.get("/api/budgets", params={"task_id": led.id})).json()["items"]
    assert raised["tokens"] == ENOUGH
    spent = (await tasks.client.get("/api/usage", params={"task_id": child})).json()["total"]
    assert raised["used_tokens"] == spent["tokens_in"] + spent["tokens_out"] > used and raised["reserved_tokens"] == 0
    assert (await tasks.client.get("/api/usage", params={"task_id": led.id})).json()["total"]["calls"] == 0
