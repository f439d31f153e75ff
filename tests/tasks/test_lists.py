"""Lists of tasks: what chooses them, their order and number; and what is done to many at once."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.errors import InternalError, InvalidInput
from pavo.kit.clock import moment_or_age
from pavo.kit.sql import Database
from pavo.tasks.domain import stages_of
from pavo.tasks.service import TaskService
from tests.clock import Clock
from tests.driving import QUICK, SLOW, Tasks


@pytest_asyncio.fixture
async def own(stack: str) -> AsyncIterator[Tasks]:
    """A user in an organisation of their own."""
    headers = {"X-User-Email": f"lists-{uuid.uuid4().hex[:8]}@example.com"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=30) as client:
        yield Tasks(client)


async def listed(tasks: Tasks, expect: int = 200, **params: Any) -> Any:
    answer = await tasks.client.get("/api/tasks", params=params)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def test_what_chooses_tasks(own: Tasks, stranger: httpx2.AsyncClient) -> None:
    first = await own.create(QUICK, title="Churn of 100% of_all")
    waiting = (await own.reviewable(QUICK, title="Pricing"))["id"]
    other = await own.create({"steps": 3}, title="churn again", agent_type="tribal_search")
    by = own.client.headers["X-User-Email"]

    async def ids(**params: Any) -> list[str]:
        page = await listed(own, **params)
        assert page["total"] == len(page["items"])
        return [item["id"] for item in page["items"]]

    assert await ids() == [other, waiting, first]
    assert await ids(sort="created") == [first, waiting, other]
    await own.post(f"{first}/messages", 201, body="More.")
    assert (await ids(sort="-updated"))[0] == first == (await ids(sort="updated"))[-1]
    assert await ids(q="CHURN") == [other, first]
    assert await ids(q="0% of_") == [first] and await ids(q="%") == [first] and await ids(q="0_ of") == []
    assert await ids(q=waiting[-8:]) == [waiting]
    assert await ids(stage="WAIT_RFC") == [waiting] == await ids(stage="in review") == await ids(stage="waiting,failed")
    assert await ids(stage="not started, review") == [other, waiting, first]
    assert await ids(agent="tribal_search") == [other] and await ids(agent="nobody") == []
    assert await ids(created_by="me") == await ids(created_by=by) == [other, waiting, first]
    assert await ids(created_by="nobody@example.com") == []
    assert await ids(since="1h") == [other, waiting, first]
    assert await ids(since=(datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []
    assert await ids(q="churn", stage="INIT", agent="intern", created_by="me", since="1d") == [first]
    assert (await stranger.get("/api/tasks", params={"q": "churn again"})).json()["total"] == 0


async def test_pages_in_each_order(own: Tasks) -> None:
    made = [await own.create(QUICK, title=f"Page {number}") for number in range(5)]
    for sort, order in (("-created", made[::-1]), ("created", made), ("updated", made), ("-updated", made[::-1])):
        found: list[str] = []
        params: dict[str, Any] = {"sort": sort, "limit": 2}
        while True:
            page = await listed(own, **params)
            assert page["total"] == 5
            found += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert found == order, sort


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("stage", "SOON"), ("stage", "INIT,SOON"), ("since", "yesterday"), ("since", "999999w")),
        *(("created_by", "ada"), ("sort", "title"), ("q", ""), ("q", "x" * 201), ("limit", "0"), ("quest", "x")),
    ],
)
async def test_a_wrong_filter_is_named(own: Tasks, name: str, value: str) -> None:
    refused = (await own.client.get("/api/tasks", params={name: value})).json()
    assert refused["status"] in (413, 422) and refused["field"] == name and refused["remedy"], refused


async def test_many_are_stopped_and_deleted_with_an_answer_for_each(own: Tasks, stranger: httpx2.AsyncClient) -> None:
    running, fresh = await own.executing(SLOW), await own.create(QUICK)
    unknown, foreign = str(uuid.uuid4()), (await Tasks(stranger).create(QUICK))
    ids = [running, unknown, fresh, foreign]
    found = (await own.post("stop", ids=ids))["items"]
    assert [(item["id"], item["outcome"]) for item in found] == [
        (running, "done"),
        (unknown, "refused"),
        (fresh, "done"),
        (foreign, "refused"),
    ]
    assert found[0]["receipt"]["stage"] == "EXECUTING" and found[1]["refusal"]["code"] == "NotFound"
    assert (await own.get(running))["stage"] == "STOPPED" and (await own.get(fresh))["stage"] in ("INIT", "STOPPED")
    gone = (await own.post("delete", ids=ids))["items"]
    assert [item["outcome"] for item in gone] == ["done", "refused", "done", "refused"]
    assert (await listed(own))["total"] == 0
    assert (await stranger.get(f"/api/tasks/{foreign}")).status_code == 200
    for wrong in ([], ["x"], [str(uuid.uuid4())] * 101):
        assert (await own.client.post("/api/tasks/delete", json={"ids": wrong})).status_code in (413, 422)


async def test_a_fault_at_one_of_many_keeps_the_others_from_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ids, who = [uuid.uuid4() for _ in range(3)], Mock()
    view = Mock(task=Mock(organisation_id="theirs", workflow_id="theirs"))
    who.organisation_ids = {"theirs"}
    found = Mock(find_task=AsyncMock(return_value=view))
    tasks = TaskService(Mock(), found, Mock(), Mock(), Mock(), Mock())
    do = AsyncMock(side_effect=["done", RuntimeError("a secret detail"), "done"])
    first, second, third = await tasks.each(who, ids, do)
    assert first == third == "done"
    assert isinstance(second, InternalError) and str(ids[1]) in str(second.remedy) and "secret" not in second.detail
    assert "a secret detail" in caplog.text, "the log tells"


async def test_how_long_ago_goes_by_the_one_clock(own: Tasks, clock: Clock) -> None:
    before = await own.create(QUICK)
    assert (await listed(own, since="24h"))["total"] == 1
    await clock.forward(timedelta(hours=25))
    now = await own.create(QUICK)
    assert [item["id"] for item in (await listed(own, since="24h"))["items"]] == [now]
    assert [item["id"] for item in (await listed(own, since="2d"))["items"]] == [now, before]
    await clock.back()


def test_moments_and_stages_as_people_say_them() -> None:
    assert moment_or_age("2026-11-26", field="since") == datetime(2026, 11, 26, tzinfo=UTC)
    assert moment_or_age("2026-11-26T08:00:00+02:00", field="since") == datetime(2026, 11, 26, 6, tzinfo=UTC)
    assert moment_or_age("90min", field="since") == timedelta(minutes=90)
    assert stages_of("Done, in-review,done") == ("DONE", "WAIT_RFC")
    with pytest.raises(InvalidInput, match="no stage 'soon'"):
        stages_of("done,soon")


async def test_the_worst_page_of_failures_is_bounded_in_bytes(own: Tasks, database: Database) -> None:
    """Two hundred whose agents said all that is kept; each task itself has all of it."""
    ids = [await own.create(QUICK, title=f"Failed {number}") for number in range(200)]
    error = {"type": "AgentError", "cause": "é" * 2_000, "remedy": "ü" * 2_000, "step": 3}
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE tasks SET stage = 'FAILED', error = CAST(:error AS jsonb) WHERE id = ANY(:ids)"),
            {"error": json.dumps(error), "ids": [uuid.UUID(each) for each in ids]},
        )
    answer = await own.client.get("/api/tasks", params={"limit": 200})
    assert len(answer.content) < 200 * 2_500, len(answer.content)
    items = answer.json()["items"]
    assert [item["error"] for item in items] == [
        {"type": "AgentError", "cause": "é" * 299 + "…", "remedy": "ü" * 299 + "…", "step": 3}
    ] * 200
    assert (await own.get(ids[0]))["error"] == error
    short = {"type": "Refused", "cause": "x" * 300, "remedy": "", "step": None}
    async with database.transaction() as session:
        change = text("UPDATE tasks SET error = CAST(:error AS jsonb) WHERE id = :id")
        await session.execute(change, {"error": json.dumps(short), "id": uuid.UUID(ids[0])})
    assert (await listed(own, sort="created", limit=1))["items"][0]["error"] == short, "what fits is whole"
    assert (await listed(own, stage="INIT"))["items"] == []


async def test_a_list_that_has_not_changed_is_not_sent_again(own: Tasks) -> None:
    task_id = await own.create(title="First")
    first = await own.client.get("/api/tasks")
    seen = {"If-None-Match": first.headers["etag"]}
    again = await own.client.get("/api/tasks", headers=seen)
    assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == first.headers["etag"]
    weak = {"If-None-Match": f'"x", W/{first.headers["etag"]}'}
    assert (await own.client.get("/api/tasks", headers=weak)).status_code == 304
    await own.client.patch(f"/api/tasks/{task_id}", json={"title": "Second"})
    changed = await own.client.get("/api/tasks", headers=seen)
    assert changed.status_code == 200 and changed.json()["items"][0]["title"] == "Second"
