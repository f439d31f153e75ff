"""Usage and budgets over HTTP and by the command line; a price table with nonsense starts no process."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from pavo.accounts.models import UserRow
from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.usage import budgets
from pavo.usage.domain import Call, Estimate, Spender, Used
from tests.command import Done, pavo
from tests.driving import Tasks
from tests.parts import Parts, free_port
from tests.usage.spending import EURO, new_call

ADA = "ada@example.com"


async def spent(database: Database, task: dict[str, Any], cost: int | None, model: str = "gpt-4o-mini") -> Call:
    """A call of the task's that was settled."""
    call = new_call(model)
    async with database.transaction() as session:
        row = (await session.execute(select(UserRow.id, UserRow.organisation_id).where(UserRow.email == ADA))).one()
        spender = Spender(Subject(uuid.UUID(task["id"]), row.organisation_id, "v1"), row.id, task["agent_type"], 1)
        await budgets.reserve(session, spender, call, Estimate(20, cost))
        await budgets.settle(session, spender, call, Used(12, 8, 4, cost, 2.0))
    return call


async def test_over_http(
    tasks: Tasks, client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, database: Database
) -> None:
    task = await tasks.get(await tasks.create(title="Spends"))
    names = ("calls", "tokens_in", "tokens_out", "tokens_cached", "cost", "unpriced", "lost", "seconds")
    assert [task["usage"][name] for name in names] == [0] * 8
    await spent(database, task, EURO // 4)
    await spent(database, task, None, "own-7b")
    task = await tasks.get(task["id"])
    assert [task["usage"][name] for name in names] == [2, 24, 16, 8, 0.25, 1, 0, 4.0]

    async def ask(expect: int, method: str, path: str, by: httpx2.AsyncClient = client, **request: Any) -> Any:
        answer = await by.request(method, path, **request)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    found = await ask(200, "GET", "/api/usage", params={"by": "model", "task_id": task["id"]})
    assert found["total"]["unpriced"] == 1 and [each["key"] for each in found["items"]] == ["gpt-4o-mini", "own-7b"]
    labels = (await ask(200, "GET", "/api/usage", params={"by": "task"}))["items"]
    assert "Spends" in [each["label"] for each in labels]
    one = await ask(200, "PUT", "/api/budgets", json={"task_id": task["id"], "period": "life", "cost": 2.5})
    assert (one["cost"], one["used_cost"], one["currency"]) == (2.5, 0.25, "USD")
    again = await ask(200, "PUT", "/api/budgets", json={"task_id": task["id"], "period": "life", "tokens": 100})
    assert (again["id"], again["cost"], again["tokens"]) == (one["id"], None, 100)
    listed = (await ask(200, "GET", "/api/budgets", params={"task_id": task["id"]}))["items"]
    assert one["id"] in [each["id"] for each in listed]
    for wrong, field in (
        ({"period": "week", "cost": 1}, "period"),
        ({"period": "life"}, "cost"),
        ({"period": "life", "cost": -1}, "cost"),
        ({"period": "life", "cost": "NaN"}, "cost"),
        ({"period": "life", "tokens": 1.5}, "tokens"),
        ({"period": "life", "tokens": True}, "tokens"),
        ({"period": "life", "cost": 1, "more": 1}, "more"),
    ):
        assert field in (await ask(422, "PUT", "/api/budgets", json=wrong))["field"]
    for params in ({"by": "hour"}, {"since": "yesterday"}, {"task_id": "x"}):
        await ask(422, "GET", "/api/usage", params=params)
    for path, params in (("/api/usage", {"task_id": task["id"]}), ("/api/budgets", {"task_id": task["id"]})):
        await ask(404, "GET", path, stranger, params=params)
    theirs = (await ask(200, "GET", "/api/session", stranger))["organisation_id"]
    whose = {"task_id": task["id"], "organisation_id": theirs, "period": "day"}
    assert (await ask(404, "PUT", "/api/budgets", json={**whose, "cost": 1}))["field"] == "organisation_id"
    for path in ("/api/usage", "/api/budgets"):
        await ask(404, "GET", path, params={"organisation_id": theirs})
        assert (await ask(422, "GET", path, params={"user": "ada"}))["field"] == "user"
    await ask(404, "PUT", "/api/budgets", stranger, json={"task_id": task["id"], "period": "day", "cost": 1})
    await ask(404, "DELETE", f"/api/budgets/{one['id']}", stranger)
    await ask(204, "DELETE", f"/api/budgets/{one['id']}")
    await ask(404, "DELETE", f"/api/budgets/{one['id']}")
    assert (await client.delete(f"/api/tasks/{task['id']}")).status_code == 204
    await ask(404, "GET", "/api/usage", params={"task_id": task["id"]})


async def test_a_task_brings_budgets_of_its_own(tasks: Tasks, client: httpx2.AsyncClient) -> None:
    given = [{"cost": 2.5, "unpriced_allowed": True}, {"tokens": 100, "period": "day"}]
    key = {"Idempotency-Key": uuid.uuid4().hex}
    made = [await client.post("/api/tasks", json={"title": "Bound", "budgets": given}, headers=key) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 200] and made[0].json()["id"] == made[1].json()["id"]
    bare = await client.post("/api/tasks", json={"title": "Bound too", "budgets": given[:1]})
    for answer, count in ((made[0], 2), (bare, 1)):
        whose = {"task_id": answer.json()["id"]}
        own = [each for each in (await client.get("/api/budgets", params=whose)).json()["items"] if each["task_id"]]
        assert len(own) == count
        life = next(each for each in own if each["period"] == "life")
        assert (life["cost"], life["tokens"], life["used_cost"], life["unpriced_allowed"]) == (2.5, None, 0, True)

    before = (await client.get("/api/tasks", params={"q": "Never"})).json()["total"]
    for wrong, field in (
        ([{}], "budgets.0"),
        ([{"cost": -1}], "budgets.0.cost"),
        ([{"tokens": 1.5}], "budgets.0.tokens"),
        ([{"cost": 1, "task_id": made[0].json()["id"]}], "budgets.0.task_id"),
        ([{"cost": 1}, {"tokens": 1}], "one for each"),
        ([{"cost": 1, "period": "week"}], "budgets.0.period"),
    ):
        refused = await client.post("/api/tasks", json={"title": "Never", "budgets": wrong})
        assert refused.status_code == 422 and field in refused.text, refused.text
    assert (await client.get("/api/tasks", params={"q": "Never"})).json()["total"] == before


async def test_the_commands(tasks: Tasks, client: httpx2.AsyncClient, database: Database) -> None:
    task = await tasks.get(await tasks.create(title="Spends by command"))
    await spent(database, task, EURO // 4)
    environment = {**os.environ, "PAVO_URL": str(client.base_url), "PAVO_USER": ADA, "COLUMNS": "80"}

    async def run(*words: str, expect: int = 0) -> Done:
        done = await asyncio.to_thread(pavo, words, environment)
        assert done.returncode == expect, done.stderr
        return done

    reference = ("--task", task["id"])
    shown = (await run("usage", "--by", "task", *reference)).stdout
    assert "Spends by command" in shown and "0.25 USD" in shown
    assert "1 call, 12 tokens in, 8 out; cost 0.2500; 4 cached; 2 s" in (await run("task", "show", task["id"])).stdout
    found = json.loads((await run("usage", *reference, "-o", "json")).stdout)
    assert found["total"]["tokens_in"] == 12
    made = json.loads((await run("budget", "set", "life", *reference, "--cost", "2.5", "-o", "json")).stdout)
    assert "2.50 USD" in (await run("budget", "list", *reference)).stdout
    await run("budget", "remove", made["id"])
    refused = await run("budget", "set", "week", *reference, "--cost", "1", expect=2)
    assert "Traceback" not in refused.stderr
    assert "cost" in (await run("budget", "set", "life", *reference, expect=2)).stderr


@pytest.mark.parametrize("part", ["api", "worker"])
async def test_a_price_table_with_nonsense_is_refused_at_start(parts: Parts, tmp_path: Path, part: str) -> None:
    (tmp_path / "prices.toml").write_text('[[models]]\nmatch = "a"\ninput = "cheap"\noutput = 1\n')
    environment = {**os.environ, **parts.environment, "PAVO_PRICES": str(tmp_path / "prices.toml")}
    command = [str(Path(sys.executable).with_name("pavo")), part]
    given = {"env": {**environment, "PAVO_PORT": str(free_port())}, "capture_output": True, "text": True, "timeout": 30}
    done = await asyncio.to_thread(subprocess.run, command, **given)  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert done.returncode == 2 and "models[0].input" in done.stderr and "'cheap' is no number" in done.stderr
