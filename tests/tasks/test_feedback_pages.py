"""Comments on a document come in pages that end by their bytes; what reads all of them follows the pages."""

import uuid
from typing import Any

import pytest
from sqlalchemy import text

from pavo.cli.api_client import ApiClient
from pavo.cli.task.client import TaskClient
from pavo.kit.sql import Database
from tests.driving import QUICK, Tasks, until

COPIES = text("""
INSERT INTO feedback (id, task_id, document_id, author_id, body, created_at)
SELECT gen_random_uuid(), task_id, document_id, author_id, body, created_at + n * interval '1 ms'
FROM feedback, generate_series(1, :count) n WHERE id = :id
""")
COUNT, LENGTH = 500, 20_000


async def commented(tasks: Tasks, database: Database, task: dict[str, Any]) -> str:
    """A path of a document with as many comments as are accepted, as long as they may be."""
    path = f"{task['id']}/documents/{task['plan']['document_id']}"
    first = await tasks.post(f"{path}/feedback", 201, body="x" * LENGTH)
    async with database.transaction() as session:
        await session.execute(COPIES, {"id": first["id"], "count": COUNT - 1})
    return f"/api/tasks/{path}"


async def test_no_answer_has_more_than_a_page(tasks: Tasks, database: Database, stack: str) -> None:
    task = await tasks.reviewable(QUICK)
    path = await commented(tasks, database, task)
    whole = await tasks.client.get(path)
    listed = await tasks.client.get(path.rpartition("/")[0])
    assert len(whole.content) < 1_200_000 and len(listed.content) < 1_200_000
    document = whole.json()
    assert listed.json()["items"][-1] == document
    left = document["feedback_left"]
    assert (len(document["feedback"]), left["count"], left["open"]) == (50, 450, 450)

    found, cursor = [item["id"] for item in document["feedback"]], left["cursor"]
    while cursor:
        answer = await tasks.client.get(f"{path}/feedback", params={"cursor": cursor})
        assert len(answer.content) < 1_200_000
        found += [item["id"] for item in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
    assert len(found) == len(set(found)) == COUNT
    api = ApiClient(stack, user="ada@example.com")
    with api:
        read = TaskClient(api).document(uuid.UUID(task["id"]), uuid.UUID(document["id"]))
    assert [str(item.id) for item in read.feedback] == found and read.feedback_left is None

    # A page whose last comment is withdrawn is followed all the same.
    page = (await tasks.client.get(f"{path}/feedback", params={"limit": 2})).json()
    assert (await tasks.client.delete(f"{path}/feedback/{page['items'][-1]['id']}")).status_code == 204
    rest = (await tasks.client.get(f"{path}/feedback", params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert rest["items"][0]["id"] == found[2]


@pytest.mark.parametrize(("query", "field"), [({"cursor": "x"}, "cursor"), ({"limit": 501}, "limit")])
async def test_a_page_that_is_none_is_refused(tasks: Tasks, query: dict[str, Any], field: str) -> None:
    task = await tasks.reviewable(QUICK)
    path = f"/api/tasks/{task['id']}/documents/{task['plan']['document_id']}/feedback"
    refused = await tasks.client.get(path, params=query)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert (await tasks.client.get(path)).json() == {"items": [], "next_cursor": None}


async def test_the_intern_revises_by_all_that_was_accepted(tasks: Tasks, database: Database) -> None:
    """It repeated all of it in its plan, which then had more bytes than a document may have."""
    task = await tasks.reviewable(QUICK)
    path = await commented(tasks, database, task)
    await tasks.post(f"{task['id']}/plan/done-reviewing", hash=task["plan"]["hash"])

    async def revised() -> bool:
        found = await tasks.get(task["id"])
        assert found["stage"] != "FAILED", found["error"]
        return found["plan"]["version"] == 2

    await until(revised, what="the second version")
    assert (await tasks.client.get(path)).json()["feedback_left"]["open"] == 0
