"""A result that is too long for the agent `llm` is kept, and its model reads on; the report tells cost and files."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.kit.sql import Database
from tests.driving import until
from tests.llm.scripted import ModelServer, model_server
from tests.llm_agent.archive_tools import TEXT, WORD, install
from tests.parts import Parts
from tests.tasks.own_stack import Own, on_path, own_stack

__all__ = ["model_server"]
PRICES = """
currency = "EUR"

[[models]]
match = "scripted"
input = 10_000
output = 10_000
"""
PLAN = {"goal": "Find the word.", "steps": [{"title": "Find it"}], "risks": [], "tools": ["archive"]}
NAME = r'"name": "(results/[^"]+)"'
ANSWERS: list[dict[str, Any]] = [
    {"text": None, "tools": [{"name": "archive", "arguments": {}}]},
    {
        "text": None,
        "tools": [{"name": "read_artifact", "arguments": {"name": "<name>", "offset": 40_000}}],
        "take": {"name": NAME},
    },
    {
        "text": None,
        "tools": [{"name": "read_artifact", "arguments": {"name": "<name>", "offset": "<next>", "characters": 9_000}}],
        "take": {"name": NAME, "next": r'"next_offset": (\d+)'},
    },
    {"text": "It says <word>.", "take": {"word": r"The word is (\w+)"}, "hold": True},
]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder, prices = tmp_path_factory.mktemp("plugins"), tmp_path_factory.mktemp("prices") / "prices.toml"
    install(folder)
    prices.write_text(PRICES)
    environment = {"PYTHONPATH": on_path(folder), "PAVO_PRICES": str(prices)}
    environment |= {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_MODEL": "scripted"}
    environment["PAVO_ARTIFACTS_FOLDER"] = str(tmp_path_factory.mktemp("store") / "artifacts")
    async with own_stack(parts, "reading-on", environment) as stack:
        yield stack


@pytest.mark.fault
@pytest.mark.parametrize("agent", ["llm", "llm_apart"])
async def test_the_model_reads_on_and_nothing_is_read_twice(
    own: Own, model_server: ModelServer, database: Database, agent: str
) -> None:
    url = f"http://127.0.0.1:{model_server.port}/scripts/"
    body = {"answers": ANSWERS, "formed": [{"text": json.dumps(PLAN)}]}
    assert httpx2.put(url, content=json.dumps(body)).status_code == 200
    before = len(httpx2.get(url).json()["requests"])
    task_id = await own.tasks.started({}, agent_type=agent, prompt="Which word?", auto_accept=True)

    async def asked_for_the_last() -> bool:
        return len(httpx2.get(url).json()["requests"]) >= before + 1 + len(ANSWERS)

    await until(asked_for_the_last, what="the last question to the model")
    own.worker.kill()  # all that was read is recorded, and the model's last word is under way
    own.worker = await own.parts.start("worker", **own.environment)
    assert httpx2.post(url).status_code == 200
    await own.tasks.wait(task_id, "DONE")
    report = next(each for each in await own.tasks.documents(task_id) if each["kind"] == "REPORT")["body"]
    assert f"It says {WORD}." in report and "3 calls of tools" in report
    last = httpx2.get(url).json()["requests"][-1]["messages"]
    assert [WORD in each["content"] for each in last if each["role"] == "tool"] == [False, False, True]
    async with database.reading() as session:
        query = text("SELECT tool, state, runs FROM tool_calls WHERE subject_id = :task ORDER BY tool")
        rows = [tuple(row) for row in await session.execute(query, {"task": task_id})]
    assert rows == [("archive", "done", 1), ("read_artifact", "done", 1), ("read_artifact", "done", 1)]

    kept = (await own.tasks.client.get(f"/api/tasks/{task_id}/artifacts")).json()["items"]
    assert [each["bytes"] for each in kept] == [len(TEXT.encode())], "what it read is not kept once more"
    assert f"- `{kept[0]['name']}` (text/plain, {len(TEXT.encode()):,} bytes)" in report
    used = (await own.tasks.client.get("/api/usage", params={"task_id": task_id})).json()["total"]
    assert used["cost"] > 1 and f"Cost: {used['cost']:,.2f} EUR." in report
    assert f"{used['calls']} calls of models, {used['tokens_in']:,} tokens in" in report
