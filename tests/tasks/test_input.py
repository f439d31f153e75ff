"""What is malformed, too large, foreign or repeated."""

import asyncio
import json
import uuid
from typing import Any

import httpx2
import pytest

from tests.driving import Tasks


def deep(levels: int) -> bytes:
    """A task whose options are nested so deeply, the object of the options included."""
    inner = levels - 1
    return b'{"title": "t", "agent_options": {"a": ' + b"[" * inner + b"1" + b"]" * inner + b"}}"


def deep_elsewhere(levels: int) -> bytes:
    return b'{"title": ' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


def body(**more: Any) -> bytes:
    return json.dumps({"title": "t", **more}).encode()


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (b"", 422, None),
        (b"{", 422, "body"),
        (b"[]", 422, None),
        (b'{"title": "\xff\xfe"}', 422, "body"),
        (body(title="a\x00b"), 422, "title"),
        (b'{"title": "\\ud800"}', 422, "title"),
        (body(title=""), 422, "title"),
        (body(title=" \n "), 422, "title"),
        (body(title="x" * 301), 413, "title"),
        (body(title=7), 422, "title"),
        (body(prompt="p" * 200_001), 413, "prompt"),
        (body(prompt="\x00"), 422, "prompt"),
        (body(agent_type="nobody"), 422, "agent_type"),
        (body(agent_type="\x00"), 422, "agent_type"),
        (body(agent_options={"steps": 0}), 422, None),
        (body(agent_options={"steps": 10**400}), 422, None),
        (b'{"title": "t", "agent_options": {"step_seconds": 1e999}}', 422, None),
        (b'{"title": "t", "agent_options": {"step_seconds": NaN}}', 422, None),
        (body(agent_options={"unknown": 1}), 422, None),
        (body(agent_options={"a\x00": 1}), 422, "agent_options"),
        (body(agent_options={"a": ["\x00"]}), 422, "agent_options.a"),
        (body(agent_options={"steps": 3, "fail_at": 10**30}), 422, "agent_options.fail_at"),
        (body(agent_options={"fail_at": -(2**63) - 1}), 422, "agent_options.fail_at"),
        (b'{"title": "t", "agent_options": {"\\udfff": 1}}', 422, "agent_options"),
        (body(agent_options={"a": "x" * 70_000}), None, None),
        (body(agent_options=[]), 422, "agent_options"),
        (body(auto_accept="maybe"), 422, "auto_accept"),
        (body(auto_accept="true"), 422, "auto_accept"),
        (body(auto_accept=1), 422, "auto_accept"),
        (body(step_seconds=0), 422, "step_seconds"),
        (body(step_seconds=-1), 422, "step_seconds"),
        (body(step_seconds=True), 422, "step_seconds"),
        (body(step_seconds="1"), 422, "step_seconds"),
        (body(step_seconds=3e6), 422, "step_seconds"),
        (b'{"title": "t", "step_seconds": 1e999}', 422, "step_seconds"),
        (body(surprise=1), 422, "surprise"),
        (body(**{"y" * 1_000_000: 1}), 422, "y" * 100 + "…"),
        (body(agent_options={str(number): [] for number in range(10_001)}), 413, "body"),
        (body(**{f"surprise {number}": 1 for number in range(30_000)}), 413, "body"),
        *((deep(levels), 422, "agent_options.a") for levels in (65, 66, 254, 255, 500, 900)),
        *((deep(levels), 422, None) for levels in (950, 1_000, 5_000)),
        *((deep_elsewhere(levels), 422, None) for levels in (65, 500, 900, 950, 5_000)),
        (body(prompt="p" * 2_100_000), 413, "body"),
    ],
)
async def test_bad_creation_is_explained(
    client: httpx2.AsyncClient, content: bytes, status: int | None, field: str | None
) -> None:
    answer = await client.post("/api/tasks", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in ((status,) if status else (413, 422)), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code and problem["title"] and problem["detail"] and problem["remedy"]
    if field:
        assert problem["field"].endswith(field)


@pytest.mark.parametrize("options", [{"fail_at": 10**30}, {"a": 2**64}, {"steps": 1e999}, {"a": "\ud800"}])
async def test_a_key_makes_no_difference_to_what_is_refused(client: httpx2.AsyncClient, options: Any) -> None:
    content = body(agent_options=options)
    without = await client.post("/api/tasks", content=content, headers={"Content-Type": "application/json"})
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    with_key = await client.post("/api/tasks", content=content, headers=headers)
    assert without.status_code == with_key.status_code == 422
    assert without.json() == with_key.json()


@pytest.mark.parametrize("keyed", [False, True])
async def test_numbers_among_the_options_are_kept_as_they_are(client: httpx2.AsyncClient, keyed: bool) -> None:
    given = {"steps": 1_000_000, "step_seconds": 5e-324, "fail_at": 1e22, "plan_seconds": -0.0}
    headers = {"Idempotency-Key": str(uuid.uuid4())} if keyed else {}
    made = (await client.post("/api/tasks", json={"title": "t", "agent_options": given}, headers=headers)).json()
    read = (await client.get(f"/api/tasks/{made['id']}")).json()
    kept = sorted({**given, "plan_seconds": 0.0}.items())
    for view in (made, read):
        assert repr(sorted(view["agent_options"].items())) == repr(kept)
    await client.delete(f"/api/tasks/{made['id']}")


async def test_chunked_body_without_length_is_limited(client: httpx2.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b"x" * 100_000

    answer = await client.post("/api/tasks", content=endless())
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("?limit=0", 422),
        ("?limit=201", 422),
        ("?limit=99999999999999999999", 422),
        ("?cursor=%FF%FE", 422),
        ("?cursor=x", 422),
        ("?cursor=MjAyNg==", 422),
        ("?stage=NOWHERE", 422),
        ("?stage=%00", 422),
        ("/not-a-uuid", 422),
        ("/%00", 422),
        ("/{id}/events?after=-1", 422),
        ("/{id}/events?after=1e3", 422),
        (f"/{{id}}/events?after={2**63}", 422),
        (f"/{{id}}/stream?after={2**63}", 422),
    ],
)
async def test_bad_addresses(tasks: Tasks, path: str, status: int) -> None:
    if "{id}" in path:
        path = path.replace("{id}", await tasks.create())
    answer = await tasks.client.get(f"/api/tasks{path}")
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 40, "²"])
async def test_bad_last_event_id(tasks: Tasks, last: str) -> None:
    headers = {"Last-Event-ID": last.encode()}
    answer = await tasks.client.get(f"/api/tasks/{await tasks.create()}/stream", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 422 and answer.json()["field"] == "Last-Event-ID"


async def test_unknown_and_foreign_ids_answer_alike(tasks: Tasks, stranger: httpx2.AsyncClient) -> None:
    theirs = await tasks.reviewable()
    unknown = str(uuid.uuid4())
    document = theirs["plan"]["document_id"]
    comment = await tasks.post(f"{theirs['id']}/documents/{document}/feedback", 201, body="Mine.")
    for method, path, content in [
        ("GET", "", None),
        ("POST", "/start", None),
        ("POST", "/stop", None),
        ("POST", "/resume", None),
        ("DELETE", "", None),
        ("GET", "/documents", None),
        ("GET", f"/documents/{document}", None),
        ("POST", f"/documents/{document}/feedback", {"body": "x"}),
        ("PATCH", f"/documents/{document}/feedback/{comment['id']}", {"body": "x"}),
        ("POST", "/plan/done-reviewing", None),
        ("POST", "/plan/accept", {"hash": theirs["plan"]["hash"]}),
        ("GET", "/events", None),
    ]:
        answers = []
        for task_id in (theirs["id"], unknown):
            answer = await stranger.request(method, f"/api/tasks/{task_id}{path}", json=content)
            assert answer.status_code == 404, (method, path)
            answers.append(answer.text.replace(task_id, "ID"))
        assert answers[0] == answers[1], (method, path)
    assert (await stranger.get("/api/tasks")).json()["items"] == []
    assert (await tasks.get(theirs["id"]))["plan"] == theirs["plan"]


async def test_documents_and_feedback_of_another_task_are_unknown(tasks: Tasks, client: httpx2.AsyncClient) -> None:
    one, two = await tasks.reviewable(), await tasks.reviewable()
    document = one["plan"]["document_id"]
    assert (await client.get(f"/api/tasks/{two['id']}/documents/{document}")).status_code == 404
    await tasks.post(f"{two['id']}/documents/{document}/feedback", 404, body="x")
    mine = await tasks.post(f"{one['id']}/documents/{document}/feedback", 201, body="x")
    path = f"/api/tasks/{two['id']}/documents/{two['plan']['document_id']}/feedback/{mine['id']}"
    assert (await client.patch(path, json={"body": "y"})).status_code == 404
    await tasks.post(f"{one['id']}/documents/{document}/feedback", 422, body="x", step=99)
    await tasks.post(f"{one['id']}/documents/{document}/feedback", 422, body="x", step=0)
    for no_number in (True, "1", 1.0, [1]):
        await tasks.post(f"{one['id']}/documents/{document}/feedback", 422, body="x", step=no_number)
    await tasks.post(f"{one['id']}/documents/{document}/feedback", 413, body="x" * 20_001)
    await tasks.post(f"{one['id']}/plan/accept", 422, hash="")


async def test_idempotency_key_creates_once(client: httpx2.AsyncClient, stranger: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    same = {"title": "Once"}
    answers = await asyncio.gather(*(client.post("/api/tasks", json=same, headers=headers) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await client.post("/api/tasks", json={"title": "Other"}, headers=headers)
    assert other.status_code == 409 and other.json()["code"] == "IdempotencyMismatch"
    theirs = await stranger.post("/api/tasks", json=same, headers=headers)
    assert theirs.status_code == 201
    await stranger.delete(f"/api/tasks/{theirs.json()['id']}")
    bad = await client.post("/api/tasks", json=same, headers={"Idempotency-Key": "k" * 256})
    assert bad.status_code == 422 and bad.json()["field"] == "Idempotency-Key"


async def test_an_idempotency_key_outlives_its_task(client: httpx2.AsyncClient) -> None:
    headers, same = {"Idempotency-Key": str(uuid.uuid4())}, {"title": "Once"}
    made = await client.post("/api/tasks", json=same, headers=headers)
    assert (await client.delete(f"/api/tasks/{made.json()['id']}")).status_code == 204
    again = await client.post("/api/tasks", json=same, headers=headers)
    assert again.status_code == 409, again.text
    assert again.json()["field"] == "Idempotency-Key" and "new key" in again.json()["remedy"]


async def test_lists_carry_no_prompts_and_no_options(stack: str) -> None:
    headers = {"X-User-Email": "long@example.com"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=30) as client:
        prompt = "Summarise: " + "é" * 100_000
        long = {"title": "Long", "prompt": prompt, "agent_options": {"steps": 3}}
        for _ in range(3):
            assert (await client.post("/api/tasks", json=long)).status_code == 201
        answer = await client.get("/api/tasks")
        assert len(answer.content) < 10_000
        items = answer.json()["items"]
        assert [item["summary"] for item in items] == [prompt[:200]] * 3
        assert not {"prompt", "agent_options"} & items[0].keys()
        whole = (await client.get(f"/api/tasks/{items[0]['id']}")).json()
        assert whole["prompt"] == prompt and whole["agent_options"]["steps"] == 3


async def test_pages_hold_every_task_once_newest_first(stack: str) -> None:
    headers = {"X-User-Email": "pages@example.com"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=30) as client:
        tasks = Tasks(client)
        made = [await tasks.create() for _ in range(7)]
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = (
                await client.get("/api/tasks", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
            ).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == made[::-1]
        assert (await client.get("/api/tasks", params={"stage": "DONE"})).json()["items"] == []
        assert len((await client.get("/api/tasks", params={"stage": "INIT"})).json()["items"]) == 7
