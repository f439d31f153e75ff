"""What waits for people: gates alone, and everything together."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest_asyncio
from sqlalchemy import text

from pavo.config import WebhookSettings
from pavo.kit.sql import Database
from pavo.webhooks.service import WebhookService
from tests.driving import Tasks, until
from tests.gates.asking import BEN, Asked, Own, question


@pytest_asyncio.fixture
async def mine(own: Own, tmp_path: Path) -> AsyncIterator[Asked]:
    """Tasks of an organisation of the test's own."""
    base, who = own.tasks.client.base_url, f"{uuid.uuid4().hex}@example.com"
    async with httpx2.AsyncClient(base_url=base, headers={"X-User-Email": who}, timeout=30) as client:
        found = Asked(own, tmp_path / "notes")
        found.tasks, found.client, found.who = Tasks(client), client, who
        yield found


async def got(client: httpx2.AsyncClient, path: str, **chosen: Any) -> dict[str, Any]:
    answer = await client.get(path, params=chosen)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_questions_reviews_and_failures_are_in_one_list(mine: Asked) -> None:
    await mine.start("asking", question(text="What now? " * 100))
    [gate] = await mine.gates()
    asked = mine.id
    reviewed = await mine.tasks.reviewable()
    await mine.start("asking", question(key="no key"))
    failed = (await mine.tasks.wait(mine.id, "FAILED"))["id"]

    found = await got(mine.client, "/api/inbox")
    assert [(each["kind"], each["task_id"]) for each in found["items"]] == [
        ("question", asked),
        ("review", reviewed["id"]),
        ("failure", failed),
    ], "those that wait longest first"
    assert (found["total"], found["next_cursor"]) == (3, None)
    first, second, third = found["items"]
    assert (first["id"], first["hash"], first["key"]) == (gate["id"], gate["hash"], "deploy")
    assert len(first["text"]) == 500 and first["since"] == gate["opened_at"]
    plan = reviewed["plan"]
    assert (second["document_id"], second["hash"], second["version"]) == (plan["document_id"], plan["hash"], 1)
    assert "ask(): key" in third["text"]

    pages, cursor = list[Any](), None
    for _ in range(3):
        more = {"cursor": cursor} if cursor else {}
        page = await got(mine.client, "/api/inbox", limit=1, sort="-since", **more)
        pages += page["items"]
        cursor = page["next_cursor"]
    assert cursor is None and pages == found["items"][::-1]
    assert [each["kind"] for each in (await got(mine.client, "/api/inbox", kind="review"))["items"]] == ["review"]
    assert (await got(mine.client, "/api/inbox", mine=True))["total"] == 3
    stranger = await mine.client.get("/api/inbox", headers={"X-User-Email": BEN})
    assert asked not in {each["task_id"] for each in stranger.json()["items"]}
    for wrong in ({"sort": "old"}, {"kind": "x"}, {"limit": 0}, {"cursor": "x"}):
        assert (await mine.client.get("/api/inbox", params=wrong)).status_code == 422

    assert (await mine.client.delete(f"/api/tasks/{failed}")).status_code == 204
    await mine.answer(gate, "this")
    await mine.tasks.accept(reviewed)
    assert (await got(mine.client, "/api/inbox"))["total"] == 0


async def test_lists_are_of_an_organisation_and_a_task_and_pass_over_nothing(mine: Asked, database: Database) -> None:
    await mine.start("asking", question("a"))
    [gate] = await mine.gates()
    first, ours = mine.id, gate["organisation_id"]
    other, foreign = f"{uuid.uuid4().hex}@example.com", f"{uuid.uuid4().hex}@example.com"
    homes = dict[str, str]()
    for who in (other, foreign):
        answer = await mine.client.get("/api/session", headers={"X-User-Email": who})
        homes[who] = answer.json()["organisation_id"]
    joining = text("""
        INSERT INTO memberships (organisation_id, user_id, role)
        SELECT :organisation, u.id, 'member' FROM users u JOIN tasks t ON t.created_by = u.id WHERE t.id = :task
    """)
    async with database.transaction() as session:
        await session.execute(joining, {"organisation": uuid.UUID(homes[other]), "task": uuid.UUID(first)})

    async def in_both() -> bool:
        return (await mine.client.get("/api/inbox", params={"organisation_id": homes[other]})).status_code == 200

    await until(in_both, what="the membership")
    await mine.start("asking", question("b"))
    await mine.gates()
    for path in ("/api/inbox", "/api/gates"):
        both = await got(mine.client, path, organisation_id=ours)
        assert {each["task_id"] for each in both["items"]} == {first, mine.id} and both["total"] == 2
        assert (await got(mine.client, path, organisation_id=homes[other]))["total"] == 0
        one = await got(mine.client, path, task_id=first)
        assert ([each["task_id"] for each in one["items"]], one["total"]) == ([first], 1)
        refused = await mine.client.get(path, params={"organisation_id": homes[foreign]})
        assert (refused.status_code, refused.json()["field"]) == (404, "organisation_id")
        unknown = await mine.client.get(path, params={"organization_id": ours})
        assert (unknown.status_code, unknown.json()["field"]) == (422, "organization_id")
    assert (await got(mine.client, "/api/gates", kind="question"))["total"] == 2
    assert (await got(mine.client, "/api/gates", kind="approval"))["total"] == 0
    assert (await mine.client.get("/api/inbox", params={"state": "open"})).status_code == 422


async def test_mine_is_what_i_may_answer_and_created_by_whose_tasks_they_are(mine: Asked, database: Database) -> None:
    await mine.start("asking", question())
    [gate] = await mine.gates()
    member = f"{uuid.uuid4().hex}@example.com"
    joining = text("""
        INSERT INTO memberships (organisation_id, user_id, role)
        SELECT :organisation, id, 'member' FROM users WHERE email = :email
    """)
    headers = {"X-User-Email": member}
    assert (await mine.client.get("/api/inbox", headers=headers)).json()["total"] == 0
    async with database.transaction() as session:
        await session.execute(joining, {"organisation": uuid.UUID(gate["organisation_id"]), "email": member})

    async def is_member() -> bool:
        return (await mine.client.get("/api/inbox", headers=headers)).json()["total"] == 1

    await until(is_member, what="the member's inbox")
    owners = text("UPDATE gates SET may_answer = 'owner' WHERE id = :id")
    for whose, may in (("member", 1), ("owner", 0)):
        for path in ("/api/inbox", "/api/gates"):
            for chosen, count in (
                ({"mine": True}, may),
                ({"created_by": "me"}, 0),
                ({"created_by": mine.who}, 1),
                ({}, 1),
            ):
                answer = (await mine.client.get(path, headers=headers, params=chosen)).json()
                assert answer["total"] == len(answer["items"]) == count, (path, chosen)
                assert (await got(mine.client, path, **chosen))["total"] == 1
            assert answer["items"][0]["may_answer"] == whose
        async with database.transaction() as session:
            await session.execute(owners, {"id": uuid.UUID(gate["id"])})
    refused = await mine.answer(gate, "this", 403, who=member)
    assert "owner" in refused["detail"] and "owner" in refused["remedy"]
    shown = (await mine.client.get(f"/api/gates/{gate['id']}", headers=headers)).json()
    assert (shown["state"], shown["answer"]) == ("open", None)
    assert (await mine.answer(gate, "this"))["answered_by"] == mine.who


async def test_a_page_of_gates_is_bounded_in_bytes_and_loses_none(mine: Asked, database: Database) -> None:
    await mine.start("asking", question(expires=60.0, default="none"))
    [gate] = await mine.gates()
    assert (gate["has_default"], gate["default"]) == (True, "none") and gate["expires_at"]
    many = text("""
        INSERT INTO gates (id, organisation_id, subject_id, scope, kind, key, body, hash, schema, state, opened_at)
        SELECT gen_random_uuid(), organisation_id, subject_id, scope, kind, 'k' || n, repeat('é', 8000), 'h' || n,
            schema, 'answered', opened_at
        FROM gates, generate_series(1, 120) n WHERE id = :id
    """)
    async with database.transaction() as session:
        await session.execute(many, {"id": uuid.UUID(gate["id"])})
    for sort in ("opened", "-opened"):
        found, cursor = list[str](), None
        while cursor or not found:
            more = {"cursor": cursor} if cursor else {}
            answer = await mine.client.get("/api/gates", params={"limit": 200, "sort": sort, **more})
            assert len(answer.content) < 1_200_000
            page = answer.json()
            assert page["total"] == 121
            found += [each["id"] for each in page["items"]]
            cursor = page["next_cursor"]
        assert len(found) == len(set(found)) == 121
    assert (await mine.client.delete(f"/api/tasks/{mine.id}")).status_code == 204
    assert (await got(mine.client, "/api/gates"))["total"] == 0


async def test_webhooks_are_told_of_each_question_once_by_ids_alone(mine: Asked, database: Database) -> None:
    organisation = (await got(mine.client, "/api/session"))["organisation_id"]
    webhooks = WebhookService(database, WebhookSettings.model_validate({"networks": "127.0.0.0/8"}))
    url = "http://127.0.0.1:9/nobody"
    added = await webhooks.add(uuid.UUID(organisation), url, events=("task.waiting",), description="")
    await mine.start("asking", question("a", "A secret?"), question("b", "Another?"))
    a, b = await mine.gates(count=2)
    await mine.answer(a, "1")
    await mine.tasks.post(f"{mine.id}/stop")
    await mine.tasks.post(f"{mine.id}/resume")
    [again] = await mine.gates()
    assert again["id"] == b["id"]
    told = text("SELECT data FROM webhook_deliveries WHERE webhook_id = :id ORDER BY number")
    async with database.reading() as session:
        data = list(await session.scalars(told, {"id": added.webhook.id}))
    assert sorted(each["gate_id"] for each in data) == sorted([a["id"], b["id"], b["id"]]), "once whenever it is asked"
    for each in data:
        assert (each["reason"], each["task_id"], each["organisation_id"]) == ("question", mine.id, organisation)
        assert each["stage"] == "EXECUTING" and "secret" not in str(each)
