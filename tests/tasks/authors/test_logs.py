"""What agents print, and their tracebacks, can be read by who owns the task, whatever the worker's log leaves out."""

import asyncio
import uuid
from typing import Any

import httpx2
import pytest

from pavo.kit.sql import Database, KeptConnection
from pavo.tasks.sql import logs
from pavo.tasks.sql.logs import NewChunk
from pavo.tasks.work.log_writer import BURST_BYTES, BYTES_A_SECOND, LogWriter
from tests import command
from tests.driving import Tasks, until

isolations = pytest.mark.parametrize("agent", ["telling", "telling_apart"])


async def log_of(tasks: Tasks, task_id: str, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        answer = await tasks.client.get(f"/api/tasks/{task_id}/logs", params={"after": after, **asked})
        assert answer.status_code == 200, answer.text
        if not answer.json()["items"]:
            return found
        found += answer.json()["items"]
        after = answer.json()["next"]


async def text_of(tasks: Tasks, task_id: str) -> str:
    return "".join(chunk["text"] for chunk in await log_of(tasks, task_id))


@isolations
async def test_what_it_printed_and_its_traceback_are_there(authors: Tasks, authors_url: str, agent: str) -> None:
    options = {"fail_at": 2, "print": "a \x1b[31mred\x07 line"}
    task_id = await authors.started(options, agent_type=agent, prompt="the walk", auto_accept=True)
    task = await authors.wait(task_id, "FAILED")
    assert "pavo task logs" in task["error"]["remedy"]

    async def complete() -> bool:
        return (await text_of(authors, task_id)).count("RuntimeError: broken at") >= 5

    await until(complete, what="five tracebacks")
    text = await text_of(authors, task_id)
    assert "planning the walk" in text and options["print"] in text
    assert "Traceback (most recent call last)" in text and "telling_agents.py" in text
    attempts = [chunk["attempt"] for chunk in await log_of(authors, task_id)]
    assert len(set(attempts)) >= 2 and attempts == sorted(attempts)

    environment = {"PAVO_URL": authors_url, "PAVO_USER": "ada@example.com", "PATH": "/usr/bin"}
    done = await asyncio.to_thread(command.pavo, ["task", "logs", task_id, "-f"], environment)
    assert done.returncode == 0 and "planning the walk" in done.stdout, done.stderr
    assert "a \\u001b[31mred\\u0007 line" in done.stdout and "\x1b" not in done.stdout
    headers = {"X-User-Email": "mallory@example.org"}
    async with httpx2.AsyncClient(base_url=authors_url, headers=headers) as stranger:
        assert (await stranger.get(f"/api/tasks/{task_id}/logs")).status_code == 404


@isolations
async def test_a_flood_is_bounded_and_says_so(authors: Tasks, agent: str) -> None:
    options = {"print": "x" * 1900, "times": 300}
    task_id = await authors.started(options, agent_type=agent, auto_accept=True)
    await authors.wait(task_id, "DONE")

    async def written() -> bool:
        return len(await text_of(authors, task_id)) >= BURST_BYTES // 2

    await until(written, what="the log")

    async def read() -> list[dict[str, Any]] | None:
        """Page by page, once all of it is written."""
        whole, found = await text_of(authors, task_id), await log_of(authors, task_id, bytes=20_000)
        return found if "".join(chunk["text"] for chunk in found) == whole == await text_of(authors, task_id) else None

    pages = await until(read, what="the same log by small pages")
    text = "".join(chunk["text"] for chunk in pages)
    assert len(text) < 4 * 300 * 1900 and all(len(chunk["text"].encode()) <= 16_000 for chunk in pages)


async def test_who_prints_too_much_at_once_is_told_what_is_left_out(authors: Tasks, database: Database) -> None:
    task_id = uuid.UUID(await authors.create({}, agent_type="telling"))
    writer = LogWriter(database)
    writer.start()
    take = writer.sink(task_id, 1)
    for _ in range(3):
        await asyncio.to_thread(take, "y" * BURST_BYTES)
    text = ""

    async def noted() -> bool:
        nonlocal text
        await asyncio.to_thread(take, "z\0\ud800")
        text = await text_of(authors, str(task_id))
        return "bytes left out" in text and text.endswith("z\N{REPLACEMENT CHARACTER}?")

    await until(noted, what="the note")
    await writer.close()
    assert BURST_BYTES <= len(text) < BURST_BYTES + 60 * BYTES_A_SECOND


async def test_the_newest_stay_and_a_deleted_task_keeps_and_takes_nothing(authors: Tasks, database: Database) -> None:
    task_id = uuid.UUID(await authors.create({}, agent_type="telling"))
    connection = KeptConnection(database)
    for number in range(10):
        await logs.add_chunks(connection, [NewChunk(task_id, 1, f"{number}" * 100)])
        await logs.trim(connection, task_id, limit=450)
    found = await log_of(authors, str(task_id))
    assert [chunk["text"][0] for chunk in found] == ["6", "7", "8", "9"]
    assert [chunk["after_gap"] for chunk in found] == [True, False, False, False]
    assert (await authors.client.delete(f"/api/tasks/{task_id}")).status_code == 204
    await logs.add_chunks(connection, [NewChunk(task_id, 1, "late")])
    counted = "SELECT count(*) FROM task_logs WHERE task_id = %(id)s"

    async def empty() -> bool:
        return await connection.rows(counted, {"id": task_id}) == [(0,)]

    await until(empty, what="the removal of the log")
    await connection.close()
