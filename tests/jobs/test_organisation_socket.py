"""The WebSocket of an organisation: its jobs and its queue as they change."""

import asyncio
import json
import uuid
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pavo.jobs.live import repository
from pavo.jobs.live.cursors import ChangeCursor
from pavo.kit.sql import Database
from tests.driving import until
from tests.jobs.organisations import Person, member_of, somebody
from tests.jobs.test_api_logs import URL

NEW = {"repository": "site", "prompt": "Fix it", "program": "codex"}


@pytest_asyncio.fixture
async def site(owner: Person) -> str:
    return (await owner.post("repositories", status=201, name="site", clone_url=URL))["id"]


def opened(person: Person, after: str = "", **more: Any) -> Any:
    """A connection to the organisation of theirs."""
    url = str(person.client.base_url).rstrip("/").replace("http", "ws", 1)
    headers = {"X-User-Email": person.client.headers["X-User-Email"]}
    return connect(f"{url}{person.path('ws')}?after={after}", additional_headers=headers, proxy=None, **more)


async def heard(socket: ClientConnection, count: int) -> list[Any]:
    """So many messages."""
    async with asyncio.timeout(30):
        return [json.loads(await socket.recv()) for _ in range(count)]


async def test_each_change_once_over_reconnects(site: str, owner: Person) -> None:
    async with opened(owner) as socket:
        begin = (await heard(socket, 1))[0]
        assert begin["kind"] == "begin", "what was before is in the queue's own page"
        first, second = [(await owner.post("jobs", status=201, **NEW))["id"] for _ in range(2)]
        found = await heard(socket, 2)
    assert [(each["kind"], each["job"]["id"], each["job"]["stage"]) for each in found] == [
        ("job", first, "QUEUED"),
        ("job", second, "QUEUED"),
    ]
    assert found[0]["job"]["title"] == "Fix it" and found[0]["job"]["agent"] is None
    await owner.post("queue/pause")
    await owner.client.post(f"/api/jobs/{first}/cancel")
    await owner.client.post(f"/api/jobs/{second}/reprioritise", json={"priority": 90})
    await owner.post("queue/resume")
    async with opened(owner, found[0]["cursor"]) as socket:
        later = await heard(socket, 5)
    assert later[0] == found[1], "it goes on after the message whose cursor it was"
    assert [each["kind"] for each in later[1:]] == ["queue", "job", "job", "queue"]
    assert later[1]["queue"]["paused"] and not later[4]["queue"]["paused"]
    assert (later[2]["job"]["id"], later[2]["job"]["stage"]) == (first, "CANCELLED")
    assert (later[3]["job"]["id"], later[3]["job"]["priority"]) == (second, 90)


async def test_a_change_that_commits_late_is_not_left_out(database: Database, site: str, owner: Person) -> None:
    first, second = [(await owner.post("jobs", status=201, **NEW))["id"] for _ in range(2)]
    change = text("UPDATE jobs SET priority = priority + 1, updated_at = pavo_now() WHERE id = :id")
    async with opened(owner) as socket:
        await heard(socket, 1)
        async with database.transaction() as early:
            await early.execute(change, {"id": uuid.UUID(first)})
            async with database.transaction() as late:
                await late.execute(change, {"id": uuid.UUID(second)})
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):  # several looks: what came later waits for what may come before it
                    await socket.recv()
        assert [each["job"]["id"] for each in await heard(socket, 2)] == [first, second]


async def test_a_cursor_that_is_too_old_begins_anew(database: Database, site: str, owner: Person) -> None:
    async with database.reading() as session:
        now = await repository.here(session)
    for old in (ChangeCursor(now.xid, 0, now.seconds - 90_000), ChangeCursor(now.xid + 10**6, 1, now.seconds)):
        async with opened(owner, str(old)) as socket:
            assert (await heard(socket, 1))[0]["kind"] == "begin"


async def test_changes_are_kept_for_a_day(database: Database, site: str, owner: Person) -> None:
    await owner.post("jobs", status=201, **NEW)
    mine = {"organisation": owner.organisation_id}
    async with database.transaction() as session:
        old = "UPDATE job_changes SET at = at - interval '25 hours' WHERE organisation_id = :organisation"
        await session.execute(text(old), mine)
    await owner.post("jobs", status=201, **NEW)

    async def pruned() -> bool:
        async with database.transaction() as session:
            await repository.prune(session)
            count = text("SELECT count(*) FROM job_changes WHERE organisation_id = :organisation")
            return (await session.scalars(count, mine)).one() == 1

    await until(pruned, what="the removal of old changes")


async def test_what_opens_none(stack: str, owner: Person) -> None:
    async with somebody(stack) as other:
        foreign = Person(other.client, owner.organisation_id)
        for person, after, status in (
            (foreign, "", 404),
            (owner, "x", 422),
            (owner, "1.2", 422),
            (owner, "1.-1.3", 422),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with opened(person, after):
                    pass
            assert refused.value.response.status_code == status
    answer = await owner.client.get(owner.path("ws"))
    assert answer.status_code == 422 and answer.json()["field"] == "Upgrade"


async def test_who_is_removed_is_told_nothing_more(stack: str, owner: Person) -> None:
    async with somebody(stack) as other:
        member = await member_of(owner, other.client)
        mine = (await member.client.get("/api/session")).json()["user_id"]
        async with opened(member) as socket:
            await heard(socket, 1)
            removed = await owner.client.delete(f"/api/organisations/{owner.organisation_id}/members/{mine}")
            assert removed.status_code == 204
            with pytest.raises(ConnectionClosed) as ended:
                await heard(socket, 1)
    assert ended.value.rcvd is not None and ended.value.rcvd.code == 1008


async def test_an_upgrade_is_counted_as_one(owner: Person) -> None:
    async with opened(owner) as socket:
        await heard(socket, 1)
    line = 'pavo_http_requests_total{method="GET",route="/api/orgs/{organisation_id}/ws",status="101"}'

    async def counted() -> bool:
        return line in (await owner.client.get("/metrics")).text

    await until(counted, what="the upgrade among the requests")
    assert 'ws",status="499"' not in (await owner.client.get("/metrics")).text
