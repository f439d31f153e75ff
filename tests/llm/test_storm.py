"""Conversations while worker, PostgreSQL and models' server are killed: what is recorded is never asked for again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.driving import Tasks
from tests.faults.stack import Stack, running_stack, until
from tests.llm.completing_agents import install
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
VICTIMS = ("worker-1", "postgres", "models", "worker-1", "postgres", "worker-1")
ROUNDS = 30
AT_ONCE = 3


@pytest_asyncio.fixture
async def stack(model_server: ModelServer) -> AsyncIterator[Stack]:
    env = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_MODEL": "scripted", "PAVO_LLM_SILENCE_SECONDS": "30"}

    def prepare(folder: Path) -> None:
        install(folder / "plugins")

    async with running_stack(prepare=prepare, env=env) as found:
        yield found


async def test_every_recorded_answer_was_asked_for_once(stack: Stack, model_server: ModelServer) -> None:
    scripts = [model_server.script({"text": "Yes.", "pause": 0.1}) for _ in range(4)]
    async with httpx2.AsyncClient(base_url=stack.api, headers={"X-User-Email": "a@example.com"}, timeout=30) as client:
        tasks = Tasks(client)
        limit = await client.put("/api/budgets", json={"period": "life", "tokens": 1_000_000_000})
        assert limit.status_code == 200, limit.text
        ids = await asyncio.gather(*(start(tasks, script, number) for number, script in enumerate(scripts)))
        for victim in VICTIMS:
            before = await recorded(stack)
            await until(lambda b=before: more(stack, b), 60, f"answers before {victim} dies")
            if victim == "models":
                model_server.kill()
                model_server.start()
            else:
                await stack.kill(victim)
                await stack.ready()
        for each in ids:
            await until(lambda task=each: is_done(tasks, task), 120, f"the end of {each}")
    in_flight = 0
    for script, task in zip(scripts, ids, strict=True):
        asked = Counter(request["messages"][0]["content"] for request in script.told()["requests"])
        assert len(asked) == 2 + ROUNDS * (AT_ONCE + 1), "a question was lost"
        runs = await stack.sql("SELECT count(*), sum(runs), max(runs) FROM model_calls WHERE subject_id = %s", task)
        count, begun, most = runs[0]
        again = sum(asked.values()) - count
        in_flight += again
        assert count == len(asked) and most <= 1 + len(VICTIMS)
        # What a worker began and died before it could ask is counted too; tries more are of the models' server's death.
        assert again <= begun - count + AT_ONCE, (begun, count, again)
        assert max(asked.values()) <= 3, asked.most_common(3)
        await is_counted(stack, task, recorded=count, asked=sum(asked.values()))
    [(used, reserved, counted)] = await stack.sql(_BUDGET)
    assert used == counted > 0 == reserved, "the budget says other than what its calls took"
    print(f"{in_flight} calls in flight were asked once more, at {len(VICTIMS)} kills")
    assert in_flight <= len(VICTIMS) * len(scripts) * AT_ONCE


_BUDGET = """
SELECT used_tokens, (SELECT count(*) FROM budget_reservations), (SELECT sum(tokens_in + tokens_out) FROM usage_calls)
FROM budgets
"""


async def is_counted(stack: Stack, task: str, *, recorded: int, asked: int) -> None:
    """Each answer that was recorded was settled once, and what was asked beside counts too: it may be paid for."""
    counts = "SELECT state, count(*), count(DISTINCT call_id) FROM usage_calls WHERE task_id = %s GROUP BY state"
    found = {state: (rows, calls) for state, rows, calls in await stack.sql(counts, task)}
    assert found["settled"] == (recorded, recorded), found
    assert asked <= recorded + found.get("lost", (0, 0))[0], (asked, found)


async def start(tasks: Tasks, script: ModelScript, number: int) -> str:
    agent = "completing" if number % 2 else "completing_apart"
    options: dict[str, Any] = {"user": script.name, "rounds": ROUNDS, "at_once": AT_ONCE}
    return await tasks.started(options, agent_type=agent, auto_accept=True)


async def is_done(tasks: Tasks, task: str) -> bool:
    return (await tasks.get(task))["stage"] == "DONE"


async def recorded(stack: Stack) -> int:
    return int((await stack.sql("SELECT count(*) FROM model_calls WHERE state = 'done'"))[0][0])


async def more(stack: Stack, before: int) -> bool:
    return await recorded(stack) > before + 20
