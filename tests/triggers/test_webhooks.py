"""Signed messages start work: once each, within bounds, and for nobody who has not the secret."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.triggers.sending import BODY, Triggers, hub_signed, signed


async def test_a_message_starts_a_task_once(triggers: Triggers) -> None:
    made = await triggers.create()
    assert made["path"] == f"/api/triggers/{made['id']}" and made["secret"].startswith("whsec_")
    message_id = str(uuid.uuid4())
    first = await triggers.send(made, message_id=message_id)
    assert (first["state"], first["kind"], first["repeated"]) == ("started", "task", False)
    task = (await triggers.client.get(f"/api/tasks/{first['subject_id']}")).json()
    assert task["title"] == "About A leak"
    again = await triggers.send(made, message_id=message_id)
    assert again == {**first, "repeated": True}
    [firing] = await triggers.until(made["id"], lambda all_: all_[0]["outcome"] == "DONE")
    assert (firing["delivery"], firing["subject_id"]) == (f"id:{message_id}", first["subject_id"])
    shown = await triggers.ask("GET", f"/{made['id']}")
    assert "secret" not in shown and shown["secrets"] == 1


async def test_many_at_once_with_one_id_are_one(triggers: Triggers) -> None:
    made, message_id = await triggers.create(), str(uuid.uuid4())
    found = await asyncio.gather(*(triggers.send(made, message_id=message_id) for _ in range(8)))
    assert len({each["id"] for each in found}) == 1 and sum(not each["repeated"] for each in found) == 1
    assert len(await triggers.firings(made["id"])) == 1
    assert len((await triggers.client.get("/api/tasks")).json()["items"]) == 1


async def test_a_run_of_a_flow_gets_what_the_body_says(triggers: Triggers) -> None:
    text = "flow: nap\ninputs: {all: {type: object}, n: {type: integer}}\nsteps: {a: {sleep: 1ms}}"
    await triggers.publish(text)
    inputs = {"all": "${{ body }}", "n": "${{ body.issue.number }}"}
    made = await triggers.create(starts={"flow": {"name": "nap", "inputs": inputs}})
    taken = await triggers.send(made)
    assert taken["kind"] == "flow", taken
    run = (await triggers.client.get(f"/api/flow-runs/{taken['subject_id']}")).json()
    assert run["inputs"] == {"all": BODY, "n": 7}
    wrong = await triggers.send(made, {"issue": {"number": "seven"}})
    assert (wrong["state"], wrong["subject_id"]) == ("failed", None)
    lacks = await triggers.send(made, {})
    assert lacks["state"] == "failed"
    told = [each["told"] for each in await triggers.firings(made["id"])]
    assert "n" in told[1] and "body.issue.number" in told[2]


async def test_forges_sign_the_body(triggers: Triggers) -> None:
    condition = "${{ event == 'issues' && body.action == 'opened' }}"
    made = await triggers.create(condition=condition)
    first = await triggers.send(made, sign=hub_signed)
    assert first["state"] == "started"
    # Whoever has recorded it may send it again under any id: GitHub signs none.
    recorded = hub_signed(made["secret"], json.dumps(BODY).encode())
    again = await triggers.send(made, headers={**recorded, "X-GitHub-Delivery": "another"})
    assert again == {**first, "repeated": True}
    closed = await triggers.send(made, {**BODY, "action": "closed"}, sign=hub_signed)
    assert closed["state"] == "skipped"
    assert [each["event"] for each in await triggers.firings(made["id"])] == ["issues", "issues"]


async def test_whoever_has_no_secret_learns_nothing(triggers: Triggers) -> None:
    made, body = await triggers.create(), json.dumps(BODY).encode()
    right = signed(made["secret"], body)
    old, future = (signed(made["secret"], body, ago=ago) for ago in (400, -400))
    wrong: list[dict[str, str]] = [
        {},
        old,
        future,
        signed("whsec_" + "A" * 43 + "=", body),
        {**right, "webhook-id": str(uuid.uuid4())},
        {**right, "webhook-timestamp": str(int(right["webhook-timestamp"]) + 1)},
        {**right, "webhook-timestamp": "soon"},
        {**right, "webhook-signature": right["webhook-signature"].replace("v1,", "v2,")},
        {**right, "webhook-signature": ""},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"Authorization": f"Bearer {made['secret']}"},
    ]
    told = [await triggers.send(made, headers=each, status=401) for each in wrong]
    unknown = {"id": str(uuid.uuid4()), "secret": made["secret"]}
    told.append(await triggers.send(unknown, status=401))
    await triggers.publish()
    of_events = await triggers.create(when={"kind": "flow"}, starts={"flow": {"name": "nap"}})
    told.append(await triggers.send({**of_events, "secret": made["secret"]}, status=401))
    assert len({json.dumps(each) for each in told}) == 1, told
    assert await triggers.firings(made["id"]) == []
    assert (await triggers.send(made, b"{not json", status=422))["field"] == "body"
    assert (await triggers.send(made, b'{"a": "\\u0000"}', status=422))["field"] == "body"
    await triggers.send(made, b'"' + b"x" * 256_000 + b'"', status=413)
    assert await triggers.firings(made["id"]) == []


async def test_a_secret_is_rotated_with_an_overlap(triggers: Triggers) -> None:
    made = await triggers.create()
    new = await triggers.ask("POST", f"/{made['id']}/rotate", json={"overlap_seconds": 3600})
    assert new["secret"] != made["secret"] and new["secrets"] == 2
    for secret in (made["secret"], new["secret"]):
        await triggers.send(made, secret=secret)
    newest = await triggers.ask("POST", f"/{made['id']}/rotate", json={"overlap_seconds": 0})
    assert newest["secrets"] == 2, "the first one has its hour still"
    await triggers.send(made, secret=new["secret"], status=401)
    await triggers.send(made, secret=newest["secret"])


async def test_a_paused_one_takes_nothing_and_says_why(triggers: Triggers) -> None:
    made, message_id = await triggers.create(), str(uuid.uuid4())
    paused = await triggers.ask("POST", f"/{made['id']}/pause", json={"reason": "too noisy"})
    assert paused["paused"]["reason"] == "too noisy"
    refused = await triggers.send(made, message_id=message_id, status=409)
    assert "too noisy" in refused["detail"]
    await triggers.ask("POST", f"/{made['id']}/resume")
    assert (await triggers.send(made, message_id=message_id))["repeated"] is False, "it was not taken before"


async def test_messages_are_bounded_by_the_minute(triggers: Triggers) -> None:
    made = await triggers.create(per_minute=2)
    ids = [str(uuid.uuid4()) for _ in range(3)]
    await triggers.send(made, message_id=ids[0])
    await triggers.send(made, message_id=ids[1])
    await triggers.send(made, message_id=ids[2], status=503)
    assert (await triggers.send(made, message_id=ids[0]))["repeated"], "what was taken is answered all the same"


async def test_what_always_fails_is_paused(triggers: Triggers) -> None:
    made = await triggers.create()
    for _ in range(10):
        assert (await triggers.send(made, {"none": 1}))["state"] == "failed"
    shown = await triggers.ask("GET", f"/{made['id']}")
    assert shown["paused"]["by"] is None and "10 firings in a row failed" in shown["paused"]["reason"]
    await triggers.send(made, status=409)
    resumed = await triggers.ask("POST", f"/{made['id']}/resume")
    assert (resumed["paused"], resumed["failures"]) == (None, 0)
    assert (await triggers.send(made))["state"] == "started"


async def test_nobody_else_sees_it(triggers: Triggers, others: Triggers) -> None:
    made = await triggers.create()
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/firings", None),
        ("POST", "/pause", {"reason": "mine"}),
        ("POST", "/resume", None),
        ("POST", "/rotate", None),
    ):
        await others.ask(method, f"/{made['id']}{path}", status=404, json=body)
    assert (await others.ask("GET"))["items"] == []
    await others.create(status=404, organisation_id=made["organisation_id"])
    assert [each["id"] for each in (await triggers.ask("GET"))["items"]] == [made["id"]]


async def test_removed_it_takes_nothing(triggers: Triggers) -> None:
    made = await triggers.create(name="gone")
    await triggers.send(made)
    await triggers.ask("DELETE", f"/{made['id']}", status=204)
    await triggers.ask("GET", f"/{made['id']}", status=404)
    await triggers.send(made, status=401)
    assert (await triggers.create(name="gone"))["id"] != made["id"], "its name is free"
    await triggers.create(name="gone", status=409)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"starts": {}}, "starts"),
        ({"starts": {"task": {"title": "${{ steps.a.output }}"}}}, "starts.task.title"),
        ({"starts": {"task": {"title": "${{ body. }}"}}}, "starts.task.title"),
        ({"starts": {"task": {"title": "${{ body.a"}}}, "starts.task.title"),
        ({"condition": "opened"}, "condition"),
        ({"condition": "${{ inputs.a }}"}, "condition"),
        ({"starts": {"task": {"title": "x", "prompt": "${{ body.a }} " * 33}}}, "starts"),
        ({"starts": {"flow": {"name": "nap", "inputs": {"lang": "${{ body.a }}"}}}}, "inputs.lang"),
        ({"starts": {"flow": {"name": "nap", "inputs": {"long": 5}}}}, "inputs.long"),
        ({"when": {"kind": "task", "flows": ["nap"]}}, "when.flows"),
        ({"per_minute": 601}, "per_minute"),
        ({"name": "../x"}, "name"),
    ],
)
async def test_nonsense_makes_nothing(triggers: Triggers, values: dict[str, Any], field: str) -> None:
    await triggers.publish()
    refused = await triggers.create(status=422, **values)
    assert refused["field"] == field and refused["remedy"], refused
    assert (await triggers.ask("GET"))["items"] == []


async def test_it_is_measured(triggers: Triggers) -> None:
    made = await triggers.create()
    await triggers.send(made)
    await triggers.send(made, secret="whsec_" + "A" * 43 + "=", status=401)
    text = (await triggers.client.get("/metrics")).text
    assert 'pavo_trigger_messages_total{outcome="taken"}' in text
    assert 'pavo_trigger_firings_total{outcome="started"}' in text
    assert 'pavo_triggers{stage="active"}' in text and "pavo_trigger_lateness_seconds_bucket" in text
