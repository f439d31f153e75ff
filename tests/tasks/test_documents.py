"""Pages of documents end by their bytes as well as by their count."""

import uuid

import pytest
from sqlalchemy import text

from pavo.kit.sql import Database
from tests.driving import Tasks

_MANY = text("""
INSERT INTO documents (id, task_id, kind, version, status, hash, content, body, created_at)
SELECT gen_random_uuid(), :task_id, 'PLAN', 100 + n, 'LOCKED', md5(n::text), '{"summary": "", "steps": []}',
    repeat('x', 200000), pavo_now() + n * interval '1 s'
FROM generate_series(1, 9) n
""")


@pytest.mark.parametrize("limit", [None, 1, 100])
async def test_pages_end_by_bytes_and_by_count(tasks: Tasks, database: Database, limit: int | None) -> None:
    task_id = await tasks.create()
    path = f"/api/tasks/{task_id}/documents"
    assert (await tasks.client.get(path)).json() == {"items": [], "before": None}
    async with database.transaction() as session:
        await session.execute(_MANY, {"task_id": task_id})
    wanted = {} if limit is None else {"limit": limit}
    pages = [(await tasks.client.get(path, params=wanted)).json()]
    while pages[-1]["before"]:
        answer = await tasks.client.get(path, params={**wanted, "before": pages[-1]["before"]})
        assert len(answer.content) < 1_000_000
        pages.append(answer.json())
    assert [len(page["items"]) for page in pages] == ([1] * 9 if limit == 1 else [2, 2, 2, 2, 1])
    found = [item["version"] for page in reversed(pages) for item in page["items"]]
    assert found == [*range(101, 110)]
    assert pages[0]["items"][-1]["version"] == 109, "the newest come first"


async def test_one_that_is_larger_is_a_page_of_its_own(tasks: Tasks, database: Database) -> None:
    task_id = await tasks.create()
    async with database.transaction() as session:
        await session.execute(_MANY, {"task_id": task_id})
        large = text("UPDATE documents SET body = repeat('x', 900000) WHERE task_id = :task_id")
        await session.execute(large, {"task_id": task_id})
    page = (await tasks.client.get(f"/api/tasks/{task_id}/documents")).json()
    assert [item["version"] for item in page["items"]] == [109] and page["before"]


async def test_before_an_unknown_one_there_is_nothing(tasks: Tasks) -> None:
    path = f"/api/tasks/{await tasks.create()}/documents"
    assert (await tasks.client.get(path, params={"before": str(uuid.uuid4())})).status_code == 404
    assert (await tasks.client.get(path, params={"limit": 101})).status_code == 422
