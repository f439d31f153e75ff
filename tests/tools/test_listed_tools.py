"""Which tools there are, what they count as, and trying one."""

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pavo.tools.announced.announcement import AnnouncedTool, ToolsAnnouncement
from pavo.tools.announced.availability import available
from tests.command import Done, pavo
from tests.driving import until
from tests.tools.calling import Called, Own


async def listed(client: httpx2.AsyncClient, **headers: str) -> dict[str, dict[str, Any]]:
    """By name, once the worker has told."""

    async def told() -> dict[str, dict[str, Any]]:
        answer = await client.get("/api/tools", headers={"X-User-Email": headers["who"]} if headers else {})
        assert answer.status_code == 200, answer.text
        return {each["name"]: each for each in answer.json()["items"]}

    async def all_there() -> dict[str, dict[str, Any]] | None:
        found = await told()
        return found if found.get("pay", {}).get("health") == "ready" else None

    return await until(all_there, what="the worker's tools")


async def test_what_the_workers_have(own: Own) -> None:
    found = await listed(own.tasks.client)
    pay, put, broken = found["pay"], found["put"], found["broken"]
    assert (pay["effect"], pay["counts_as"], pay["seconds"], pay["workers"]) == ("unsafe", "unsafe", 60.0, 1)
    assert pay["description"].startswith("Pay once more") and "ctx" not in pay["parameters"]["properties"]
    assert pay["parameters"]["required"] == ["folder", "amount"] and put["effect"] == "idempotent"
    assert broken["health"] == "broken" and "TypeError" in broken["detail"] and broken["workers"] == 0


async def test_an_organisation_makes_an_effect_stricter_and_it_holds(own: Own, called: Called) -> None:
    client = called.tasks.client
    who = f"{uuid.uuid4().hex}@example.com"
    headers = {"X-User-Email": who}
    for effect, counts in (("unsafe", "unsafe"), ("read", "idempotent")):
        answer = await client.put("/api/tools/put/effect", json={"effect": effect}, headers=headers)
        assert answer.status_code == 200, answer.text
        assert (await listed(client, who=who))["put"]["counts_as"] == counts
    assert (await listed(client))["put"]["counts_as"] == "idempotent", "another organisation's word"
    organisation = answer.json()["organisation_id"]
    body = {"effect": "unsafe", "organisation_id": organisation}
    assert (await client.put("/api/tools/put/effect", json=body)).status_code == 404
    assert (await client.put("/api/tools/put/effect", json={"effect": "odd"})).status_code == 422
    assert (await client.put("/api/tools/a%20b/effect", json={"effect": "read"})).status_code == 422
    assert (await client.delete("/api/tools/put/effect", headers=headers)).status_code == 204
    assert (await client.delete("/api/tools/put/effect", headers=headers)).status_code == 404
    assert (await listed(client, who=who))["put"]["counts_as"] == "idempotent"


async def test_a_call_that_counts_as_unsafe_is_not_repeated_after_a_crash(own: Own, called: Called) -> None:
    client = called.tasks.client
    assert (await client.put("/api/tools/put/effect", json={"effect": "unsafe"})).status_code == 200
    (called.folder / "hold").touch()
    await called.start("calling", called.one("put", name="x"))

    async def begun() -> bool:
        return bool(called.told("put"))

    try:
        await until(begun, what="the call")
        own.worker.kill()
        (called.folder / "hold").unlink()
        own.worker = await own.parts.start("worker", **own.environment)
        gate = await called.gate()
        assert gate["kind"] == "effect"
        await called.answer(gate, {"yes": "seen"})
        assert await called.done() == "['seen']" and len(called.told("put")) == 1
    finally:
        assert (await client.delete("/api/tools/put/effect")).status_code == 204


def tool(version: str, error: str | None = None) -> AnnouncedTool:
    return AnnouncedTool(name="x", version=version, error=error, effect="read", parameters={})


@pytest.mark.parametrize(
    ("said", "workers", "health", "detail"),
    [
        ([tool("1")], 1, "ready", None),
        ([tool("1"), tool("2")], 2, "ready", "several versions"),
        ([tool("1")], 2, "partly", "1 of 2"),
        ([tool("1", "no such module"), tool("2")], 2, "partly", "no such module"),
        ([tool("1", "no such module")], 1, "broken", "no such module"),
    ],
)
def test_health(said: list[AnnouncedTool], workers: int, health: str, detail: str | None) -> None:
    live = (workers, [ToolsAnnouncement(build=None, tools=[each]) for each in said])
    [one] = available(live, {}).items
    assert one.health == health and (detail or "") in (one.detail or "") and bool(one.detail) == bool(detail)
    assert available((workers, []), {}).detail == f"{workers} of {workers} workers have not told which tools they have."
    assert available(None, {}).detail and available((0, []), {"y": "read"}).items[0].health == "no_worker"


class Typed:
    """A user at a shell that has the tools installed."""

    def __init__(self, own: Own) -> None:
        user = f"{uuid.uuid4().hex}@example.com"
        url = str(own.tasks.client.base_url)
        self.environment = {**os.environ, "PAVO_URL": url, "PAVO_USER": user}

    async def run(self, *words: str) -> Done:
        return await asyncio.to_thread(pavo, ("tools", *words), self.environment)


async def test_typed(own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(own.environment["PYTHONPATH"].split(os.pathsep)[0])
    await listed(own.tasks.client)
    typed = Typed(own)
    shown = await typed.run("list")
    assert shown.returncode == 0 and "pay" in shown.stdout and "broken: No worker can use it" in shown.stdout
    one = await typed.run("show", "put")
    assert one.returncode == 0 and "idempotent" in one.stdout and "folder" in one.stdout
    assert (await typed.run("show", "none")).returncode == 3
    assert (await typed.run("effect", "put", "unsafe")).returncode == 0
    assert "counts as unsafe" in (await typed.run("show", "put")).stdout
    assert (await typed.run("effect", "put")).returncode == 0 and (await typed.run("effect", "put")).returncode == 3

    folder = f"folder={tmp_path}"
    called = await typed.run("call", "put", "--arg", folder, "--arg", "name=x", "-o", "json")
    assert called.returncode == 0 and json.loads(called.stdout) == {"tool": "put", "result": "x"}, called.stderr
    assert "outside of tasks" in called.stderr and "idempotent" in called.stderr
    unsafe = await typed.run("call", "pay", "--arg", folder, "--arg", "amount=5")
    assert unsafe.returncode == 2 and "--yes" in unsafe.stderr
    told = tmp_path / "told"
    assert "pay" not in told.read_text()
    paid = await typed.run("call", "pay", "--args", json.dumps({"folder": str(tmp_path), "amount": 5}), "--yes")
    assert paid.returncode == 0 and '"paid": 5' in paid.stdout and "pay" in told.read_text()
    for words, code, said in (
        (("call", "none"), 3, "no tool"),
        (("call", "broken"), 3, "cannot be loaded"),
        (("call", "put", "--arg", "name=x"), 2, "args.folder"),
        (("call", "put", "--args", "[]"), 2, "no object"),
        (("call", "put", "--args", "{"), 2, "no JSON"),
        (("call", "bad", "--arg", "how=raise"), 1, "no such"),
        (("call", "bad", "--arg", "how=hang"), 1, "did not answer"),
    ):
        done = await typed.run(*words)
        assert done.returncode == code and said in done.stderr, (words, done.returncode, done.stderr)
