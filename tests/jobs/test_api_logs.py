"""Logs of jobs: pages by cursor, streams that resume, readers that see each line once."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy import update

from pavo.config import Settings
from pavo.jobs.logs import repository
from pavo.jobs.logs.domain import LogCursor, LogFilter
from pavo.jobs.sql.models import JobLogRow, JobRow
from pavo.kit.sql import Database
from tests.driving import until
from tests.jobs.organisations import Person, add_job, somebody

URL = "https://git.example.com/acme/site.git"


@pytest_asyncio.fixture
async def job(database: Database, owner: Person) -> uuid.UUID:
    added = await owner.post("repositories", status=201, name="site", clone_url=URL)
    return await add_job(database, owner.organisation_id, added["id"], stage="EXECUTING", epoch=1)


async def say(database: Database, job_id: uuid.UUID, epoch: int, seqs: Sequence[int], **more: Any) -> None:
    """Store lines, as a gateway does."""
    values = {"at": datetime.now(UTC), "stage": "EXECUTING", "level": "info", "source": "program", **more}
    async with database.transaction() as session:
        for seq in seqs:
            text = values.get("text", f"line {seq}")
            session.add(JobLogRow(job_id=job_id, epoch=epoch, seq=seq, **{**values, "text": text}))


async def end(database: Database, job_id: uuid.UUID, stage: str = "DONE") -> None:
    async with database.transaction() as session:
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(stage=stage))


async def page(owner: Person, job_id: uuid.UUID, status: int = 200, **wanted: Any) -> Any:
    answer = await owner.client.get(f"/api/jobs/{job_id}/logs", params=wanted)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_pages_by_cursor(database: Database, owner: Person, job: uuid.UUID) -> None:
    assert await page(owner, job) == {"items": [], "next": "0-0", "more": False}
    await say(database, job, 1, range(1, 6))
    await say(database, job, 2, [1, 2], stage="VERIFYING", level="error", source="verify:tests", gap=3)
    first = await page(owner, job, limit=3)
    assert [each["id"] for each in first["items"]] == ["1-1", "1-2", "1-3"] and first["more"] is True
    second = await page(owner, job, after=first["next"])
    assert [each["id"] for each in second["items"]] == ["1-4", "1-5", "2-1", "2-2"] and second["more"] is False
    assert second["items"][-1]["gap"] == 3 and second["items"][-1]["source"] == "verify:tests"
    assert await page(owner, job, after=second["next"]) == {"items": [], "next": "2-2", "more": False}
    assert len((await page(owner, job, level="warning"))["items"]) == 2
    assert len((await page(owner, job, stage="EXECUTING"))["items"]) == 5
    assert len((await page(owner, job, epoch=2))["items"]) == 2


@pytest.mark.parametrize("after", ["1", "x-1", "1-", "-1", "1-1-1", "99999999999999999999-1", "1-٣", "1- 1"])
async def test_what_is_no_cursor(owner: Person, job: uuid.UUID, after: str) -> None:
    assert (await page(owner, job, 422, after=after))["field"] == "after"
    answer = await owner.client.get(f"/api/jobs/{job}/logs/stream", headers={b"Last-Event-ID": after.encode()})
    assert answer.status_code == 422 and answer.json()["field"] == "Last-Event-ID"


async def test_a_page_is_bounded_in_bytes(database: Database, job: uuid.UUID) -> None:
    await say(database, job, 1, range(1, 151), text="x" * 16_000)
    async with database.reading() as session:
        found = await repository.page(session, job, LogCursor(), LogFilter(), 1000)
    assert 1 < len(found.lines) < 70 and found.more and sum(len(each.text) for each in found.lines) <= 1_000_000


async def heard_of(reader: "Reader", count: int) -> None:
    """Wait until so many lines were read."""

    async def there() -> bool:
        return len(reader.ids) >= count

    await until(there, what=f"{count} lines")


class Reader:
    """Reads a stream of lines, on one connection after the other."""

    def __init__(self, owner: Person, job_id: uuid.UUID) -> None:
        self.owner, self.job_id = owner, job_id
        self.ids = list[str]()

    async def read(self, most: int | None = None) -> int:
        """Read until the stream ends, or so many lines came; the status."""
        headers = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
        path = f"/api/jobs/{self.job_id}/logs/stream"
        timeout = httpx2.Timeout(30)
        before = len(self.ids)
        async with self.owner.client.stream("GET", path, headers=headers, timeout=timeout) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    self.ids.append(line.removeprefix("id: "))
                    if most is not None and len(self.ids) - before >= most:
                        break
            return answer.status_code


async def test_a_stream_goes_on_until_the_job_is_over(database: Database, owner: Person, job: uuid.UUID) -> None:
    await say(database, job, 1, range(1, 4))
    reader = Reader(owner, job)
    reading = asyncio.create_task(reader.read())
    await heard_of(reader, 3)
    await say(database, job, 1, range(4, 7))
    await heard_of(reader, 6)
    await say(database, job, 2, [1])
    await end(database, job)
    assert await asyncio.wait_for(reading, 10) == 200
    assert reader.ids == [*(f"1-{each}" for each in range(1, 7)), "2-1"]
    assert await reader.read() == 204, "nothing follows"


async def test_each_line_once_over_reconnects(database: Database, owner: Person, job: uuid.UUID) -> None:
    reader = Reader(owner, job)

    async def speak() -> None:
        for first in range(1, 301, 20):
            await say(database, job, 1, range(first, first + 20))
        await end(database, job)

    speaking = asyncio.create_task(speak())
    while await reader.read(most=37) != 204:
        pass
    await speaking
    assert reader.ids == [f"1-{each}" for each in range(1, 301)]


async def test_a_nudge_is_heard_at_once(database: Database, settings: Settings, owner: Person, job: uuid.UUID) -> None:
    reader = Reader(owner, job)
    reading = asyncio.create_task(reader.read())
    redis = Redis.from_url(settings.redis.url)
    channel = f"job-logs:{job}"

    async def heard() -> bool:
        return bool(await redis.publish(channel, b"1-0"))

    await until(heard, what="somebody who listens")
    began = asyncio.get_running_loop().time()
    await say(database, job, 1, [1])
    await redis.publish(channel, b"1-1")
    await heard_of(reader, 1)
    assert asyncio.get_running_loop().time() - began < 5
    await redis.aclose()
    await end(database, job)
    await asyncio.wait_for(reading, 10)


async def test_logs_of_others_are_unknown(stack: str, owner: Person, job: uuid.UUID) -> None:
    async with somebody(stack) as other:
        assert (await other.client.get(f"/api/jobs/{job}/logs")).status_code == 404
        assert (await other.client.get(f"/api/jobs/{uuid.uuid4()}/logs/stream")).status_code == 404
