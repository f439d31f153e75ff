"""Runs over HTTP: begun, listed, shown, followed, cancelled, answered and removed."""

import asyncio
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from pavo.flows.ledger.removals import removing
from pavo.flows.ledger.removals.removal import HOLDINGS
from pavo.kit.sql import Database
from tests.driving import until
from tests.flows.published.people import Person
from tests.flows.published.test_published import publish

FLOW = """flow: greet
inputs: {names: {type: array, items: {type: string}}, long: {type: string, default: 1ms}}
result: "${{ steps.each.items.size() }}"
steps:
  nap: {sleep: "${{ inputs.long }}"}
  never: {needs: nap, if: "${{ false }}", sleep: 1h}
  each:
    needs: nap
    for_each: {in: "${{ inputs.names }}", max: 200, parallel: 20, on_item_failure: collect}
    http: {url: "http://127.0.0.1:1/${{ item }}"}
"""
"""Addresses of this machine are refused, so each item fails at once."""
SLOW = "flow: slow\nsteps: {a: {sleep: 1h}, b: {needs: a, sleep: 1s}}"


async def over(person: Person, run_id: str) -> Any:
    async def found() -> Any:
        run = await person.get(f"/flow-runs/{run_id}")
        return run if run["ended_at"] is not None else None

    return await until(found, what=f"the end of run {run_id}")


async def test_a_published_flow_is_run_and_shown(person: Person) -> None:
    await publish(person, FLOW)
    begun = await person.post("/flows/greet/runs", 201, inputs={"names": ["ada", "grace"]}, engine="local")
    assert (begun["flow"], begun["version"], begun["engine"], begun["asked"]) == ("greet", 1, "local", 0)
    run = await over(person, begun["id"])
    assert (run["state"], run["result"], run["whole"], run["inputs"]) == (
        *("succeeded", 2, True),
        {"names": ["ada", "grace"]},
    )
    steps = [(each["step"], each["item"], each["state"], each["kind"]) for each in run["steps"]]
    assert steps == [
        ("nap", None, "succeeded", "sleep"),
        ("never", None, "skipped", "sleep"),
        ("each", None, "succeeded", "http"),
        ("each", 0, "failed", "http"),
        ("each", 1, "failed", "http"),
    ]
    assert run["steps"][2]["items"] == {"failed": 2} and run["steps"][3]["error"] and run["steps"][0]["attempt"] == 1
    page = await person.get("/flow-runs", flow="greet", state="over", engine="local", since="1h")
    assert [each["id"] for each in page["items"]] == [begun["id"]]
    for chosen in ({"flow": "other"}, {"state": "open"}, {"engine": "temporal"}, {"since": "2999-01-01"}):
        assert (await person.client.get("/api/flow-runs", params=chosen)).json()["items"] == []


async def test_many_items_are_counted_and_some_are_shown(person: Person) -> None:
    await publish(person, FLOW)
    names = [f"n{number}" for number in range(150)]
    begun = await person.post("/flows/greet/runs", 201, inputs={"names": names}, engine="local")
    run = await over(person, begun["id"])
    each = [one for one in run["steps"] if one["step"] == "each"]
    assert each[0]["items"] == {"failed": 150} and len(each) == 101 and not run["whole"]


async def test_what_is_waited_for_is_shown(person: Person) -> None:
    begun = await person.post("/flow-runs", 201, text=FLOW, inputs={"names": [], "long": "1h"}, engine="local")

    async def some() -> Any:
        run = await person.get(f"/flow-runs/{begun['id']}")
        return run if run["steps"][0]["state"] == "timer" else None

    run = await until(some, what="the timer")
    assert run["steps"][0]["due_seconds"] > 3_000 and run["steps"][1]["state"] == "waiting"
    await person.post(f"/flow-runs/{begun['id']}/cancel")
    assert (await over(person, begun["id"]))["state"] == "cancelled"


async def test_events_tell_what_happens_until_the_end(person: Person) -> None:
    begun = await person.post("/flow-runs", 201, text=FLOW, inputs={"names": ["ada"]}, engine="local")
    assert begun["version"] is None, "nothing is published by it"
    told = list[Any]()
    async with person.client.stream("GET", f"/api/flow-runs/{begun['id']}/events") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
    assert [each["seq"] for each in told] == list(range(1, len(told) + 1))
    kinds = [(each["type"], each.get("step"), each.get("item")) for each in told]
    assert kinds[0] == ("run_started", None, None) and kinds[-1] == ("run_ended", None, None)
    assert told[-1]["outcome"] == "succeeded"
    for wanted in (
        ("step_started", "nap", None),
        ("step_ended", "nap", None),
        ("step_decided", "each", None),
        ("step_started", "each", 0),
        ("step_ended", "each", 0),
    ):
        assert kinds.count(wanted) == 1, kinds
    page = await person.get(f"/flow-runs/{begun['id']}/timeline", after=2)
    assert page["closed"] and [each["seq"] for each in page["items"]] == list(range(3, len(told) + 1))
    seen = {"Last-Event-ID": str(len(told))}
    assert (await person.client.get(f"/api/flow-runs/{begun['id']}/events", headers=seen)).status_code == 204


async def test_a_key_begins_one_run(person: Person) -> None:
    await publish(person, SLOW)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    sent = [person.client.post("/api/flows/slow/runs", json={}, headers=key) for _ in range(4)]
    answers = await asyncio.gather(*sent)
    assert sorted(each.status_code for each in answers) == [200, 200, 200, 201]
    [run_id] = {each.json()["id"] for each in answers}
    assert {each.headers["location"] for each in answers} == {f"/api/flow-runs/{run_id}"}
    other = await person.client.post("/api/flows/slow/runs", json={"version": 1}, headers=key)
    assert other.status_code == 409 and other.json()["code"] == "IdempotencyMismatch"
    await person.post(f"/flow-runs/{run_id}/cancel")
    await over(person, run_id)
    await person.send("DELETE", f"/flow-runs/{run_id}", 204)
    gone = await person.client.post("/api/flows/slow/runs", json={}, headers=key)
    assert gone.status_code == 409 and "no more" in gone.json()["detail"]


async def test_a_deprecated_version_begins_no_run_and_one_in_progress_goes_on(person: Person) -> None:
    await publish(person, SLOW)
    begun = await person.post("/flows/slow/runs", 201, engine="local")
    await person.post("/flows/slow/versions/1/deprecate", reason="too slow")
    for path, body in (("/flows/slow/runs", {}), ("/flow-runs", {"text": SLOW})):
        wrong = await person.post(path, 409, **body)
        assert "Version 1 of slow is deprecated: too slow." in wrong["detail"]
    assert (await person.get(f"/flow-runs/{begun['id']}"))["state"] in ("waiting", "running")
    await publish(person, SLOW.replace("1h", "2h"))
    second = await person.post("/flows/slow/runs", 201, engine="local")
    assert second["version"] == 2
    await person.post("/flows/slow/runs", 409, version=1)
    for run_id in (begun["id"], second["id"]):
        await person.post(f"/flow-runs/{run_id}/cancel")
        assert (await over(person, run_id))["state"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"inputs": {}}, "inputs.names"),
        ({"inputs": {"names": 7}}, "inputs.names"),
        ({"inputs": {"names": [], "nmaes": []}}, "inputs.nmaes"),
        ({"engine": "other"}, "engine"),
        ({"version": True}, "version"),
    ],
)
async def test_what_cannot_be_run_is_refused(person: Person, body: dict[str, Any], field: str) -> None:
    await publish(person, FLOW)
    wrong = await person.post("/flows/greet/runs", 422, **body)
    assert wrong["field"] == field and wrong["remedy"]
    assert not (await person.get("/flow-runs"))["items"]


async def test_the_local_engine_is_not_given_what_temporal_alone_does(person: Person) -> None:
    wrong = await person.post("/flow-runs", 422, text="flow: f\nsteps: {a: {agent: intern}}", engine="local")
    assert wrong["field"] == "engine" and "a are Temporal" in wrong["detail"]
    assert "state" in (await person.get("/flow-runs", 422, state="done"))["field"]


async def test_an_answer_that_nobody_asks_for_is_refused(person: Person) -> None:
    begun = await person.post("/flow-runs", 201, text=SLOW, engine="local")
    path = f"/flow-runs/{begun['id']}/answer"
    assert "Nobody is asked" in (await person.post(path, 409, step="a", said="failed"))["detail"]
    assert (await person.post(path, 422, step="a", said="maybe"))["field"] == "said"
    await person.post(f"/flow-runs/{begun['id']}/cancel")


async def test_a_removed_run_leaves_nothing(person: Person, database: Database) -> None:
    begun = await person.post("/flow-runs", 201, text=FLOW, inputs={"names": ["ada"], "long": "1h"}, engine="local")
    path = f"/flow-runs/{begun['id']}"
    await person.send("DELETE", path, 409)
    watching = asyncio.create_task(person.client.get(f"/api{path}/events"))
    await person.post(f"{path}/cancel", compensate=True)
    run = await over(person, begun["id"])
    assert run["cancel_asked"] and run["state"] == "cancelled"
    await watching
    await person.send("DELETE", path, 204)
    for method, more in (("GET", ""), ("GET", "/timeline"), ("POST", "/cancel"), ("DELETE", "")):
        await person.send(method, f"{path}{more}", 404, json={} if method == "POST" else None)
    assert (await person.client.get(f"/api{path}/events")).status_code == 204
    assert not (await person.get("/flow-runs"))["items"]

    async def gone() -> bool:
        await removing.go_on(database, age=timedelta(0))
        async with database.reading() as session:
            counts = [
                (
                    await session.scalars(
                        text(f"SELECT count(*) FROM {h.table} WHERE {h.key} = :run"), {"run": begun["id"]}
                    )
                )
                for h in HOLDINGS
            ]
        return not any(each.one() for each in counts)

    await until(gone, what="the removal")
    async with database.reading() as session:
        query = text("SELECT inputs, removed_at FROM flow_runs WHERE id = :run")
        row = (await session.execute(query, {"run": begun["id"]})).one()
    assert row.inputs == {} and row.removed_at is not None


async def test_another_organisation_finds_no_run(person: Person, other: Person) -> None:
    begun = await person.post("/flow-runs", 201, text=SLOW, engine="local")
    path = f"/flow-runs/{begun['id']}"
    assert not (await other.get("/flow-runs"))["items"]
    for more in ("", "/timeline"):
        assert "There is no run" in (await other.get(f"{path}{more}", 404))["detail"]
    await other.post(f"{path}/cancel", 404)
    await other.post(f"{path}/answer", 404, step="a", said="failed")
    await other.send("DELETE", path, 404)
    await other.get("/flow-runs", 404, organisation_id=str(person.organisation_id))
    await other.post("/flows/slow/runs", 404)
    assert (await person.post(f"{path}/cancel"))["cancel_asked"]
