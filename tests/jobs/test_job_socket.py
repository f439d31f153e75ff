"""The WebSocket of a job, opened by a client that others wrote."""

import asyncio
import json
import uuid
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pavo.kit.sql import Database
from tests.jobs.organisations import Person, somebody
from tests.jobs.test_api_logs import URL, say

NEW = {"repository": "site", "prompt": "Fix it", "program": "codex"}


@pytest_asyncio.fixture
async def job(owner: Person) -> uuid.UUID:
    await owner.post("repositories", status=201, name="site", clone_url=URL)
    return uuid.UUID((await owner.post("jobs", status=201, **NEW))["id"])


def opened(owner: Person, job_id: object, after: str = "", **more: Any) -> Any:
    """A connection of the owner's."""
    url = str(owner.client.base_url).rstrip("/").replace("http", "ws", 1)
    headers = {"X-User-Email": owner.client.headers["X-User-Email"]}
    return connect(f"{url}/api/jobs/{job_id}/ws?after={after}", additional_headers=headers, proxy=None, **more)


async def heard(socket: ClientConnection, count: int) -> list[Any]:
    """So many messages."""
    async with asyncio.timeout(30):
        return [json.loads(await socket.recv()) for _ in range(count)]


async def test_events_and_lines_each_once_over_reconnects(database: Database, owner: Person, job: uuid.UUID) -> None:
    await say(database, job, 1, range(1, 4))
    async with opened(owner, job) as socket:
        before = await heard(socket, 4)
        await say(database, job, 1, [4])
        before += await heard(socket, 1)
    assert sorted(each["kind"] for each in before) == ["event", *["log"] * 4]
    assert [each["line"]["id"] for each in before if each["kind"] == "log"] == [f"1-{each}" for each in range(1, 5)]
    async with opened(owner, job, before[-1]["cursor"]) as socket:
        await owner.client.post(f"/api/jobs/{job}/cancel")
        after = await heard(socket, 2)
        await socket.send("whatever")
        await say(database, job, 2, [1])
        after += await heard(socket, 1)
        await (await socket.ping())
    assert [each["event"]["type"] for each in after if each["kind"] == "event"] == ["cancel_asked", "stage"]
    assert [each["line"]["id"] for each in after if each["kind"] == "log"] == ["2-1"]


async def test_what_opens_none(stack: str, owner: Person, job: uuid.UUID) -> None:
    async with somebody(stack) as other:
        assert (await other.client.get(f"/api/jobs/{uuid.uuid4()}/ws")).status_code in (404, 422)
    answer = await owner.client.get(f"/api/jobs/{job}/ws")
    assert answer.status_code == 422 and answer.json()["field"] == "Upgrade"
    for path, status in ((uuid.uuid4(), 404), ("nonsense", 422)):
        with pytest.raises(InvalidStatus) as refused:
            async with opened(owner, path):
                pass
        assert refused.value.response.status_code == status
    with pytest.raises(InvalidStatus) as refused:
        async with opened(owner, job, "x"):
            pass
    assert refused.value.response.status_code == 422
    with pytest.raises(InvalidStatus) as refused:
        async with opened(owner, job, origin="https://evil.example.com"):  # type: ignore[arg-type]
            pass
    assert refused.value.response.status_code == 403, "a foreign page"
    assert (await owner.client.get(f"/api/jobs/{job}")).status_code == 200


async def test_a_client_that_breaks_the_protocol_is_told(owner: Person, job: uuid.UUID) -> None:
    async with opened(owner, job) as socket:
        await heard(socket, 1)
        with pytest.raises(ConnectionClosed) as ended:
            await socket.send("x" * 100_000)
            while True:
                await socket.recv()
    assert ended.value.rcvd is not None and ended.value.rcvd.code == 1009


async def test_a_deleted_job_has_none(database: Database, owner: Person, job: uuid.UUID) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET deleted_at = pavo_now() WHERE id = :id"), {"id": job})
    with pytest.raises(InvalidStatus) as refused:
        async with opened(owner, job):
            pass
    assert refused.value.response.status_code == 404
