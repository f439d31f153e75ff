"""Messages are recorded with their step or not at all, and windows read them back as they were."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from pavo.agents.contract import MAX_MESSAGE_BYTES, MAX_STEP_MESSAGES, Step
from pavo.kit.sql import Database, KeptConnection
from pavo.tasks.sql.models import ExecutionRow
from pavo.tasks.sql.steps import Recorded, record_steps, step_record
from pavo.transcripts import service
from pavo.transcripts.domain import MAX_READ, TranscriptMessage, Window
from tests.tools.rows import new_attempt, new_subject

ODD: list[dict[str, Any]] = [
    {},
    {"z": 1, "a": {"y": [1.0, 1e22, -5, 2**63 - 1], "b": None}, "é\u2028": "\x01\U0001f99a\\u0000"},
    {"role": "user", "content": ""},
]
"""What PostgreSQL or a reader might change: members out of order, large floats, escapes."""


@pytest_asyncio.fixture
async def connection(database: Database) -> AsyncIterator[KeptConnection]:
    found = KeptConnection(database)
    yield found
    await found.close()


class Task:
    """A task in the database whose steps are recorded by whichever attempt."""

    def __init__(self, database: Database, connection: KeptConnection) -> None:
        self._database, self._connection = database, connection
        self.id = uuid.UUID(int=0)

    async def begin(self) -> int:
        """Its epoch."""
        self.subject, _ = await new_subject(self._database)
        self.id = self.subject.id
        return await self.take_over()

    async def take_over(self) -> int:
        return await new_attempt(self._database, self.subject)

    def step(self, epoch: int, number: int, *messages: Any) -> Any:
        return step_record(self.id, epoch, number, Step({"n": number}, messages=messages), (), 3)

    async def record(self, epoch: int, number: int, *messages: Any) -> dict[tuple[uuid.UUID, int], Recorded]:
        return await record_steps(self._connection, [self.step(epoch, number, *messages)])

    async def read(self, **window: Any) -> list[TranscriptMessage]:
        async with self._database.reading() as session:
            return list(await service.window(session, self.id, Window(**window)))

    async def count(self) -> int:
        async with self._database.reading() as session:
            return await service.count(session, self.id)

    async def texts(self) -> list[Any]:
        return [message.data for message in await self.read(limit=MAX_READ)]


@pytest_asyncio.fixture
async def task(database: Database, connection: KeptConnection) -> Task:
    return Task(database, connection)


async def test_messages_come_back_as_they_were_in_order_and_numbered(task: Task) -> None:
    epoch = await task.begin()
    assert await task.count() == 0 and await task.read() == []
    await task.record(epoch, 1, *ODD)
    await task.record(epoch, 2)
    await task.record(epoch, 3, {"last": True})
    found = await task.read()
    assert [message.data for message in found] == [*ODD, {"last": True}]
    assert [list(message.data) for message in found] == [list(each) for each in [*ODD, {"last": True}]]
    assert repr(found[1].data["a"]["y"]) == repr(ODD[1]["a"]["y"]), "floats are floats, integers integers"
    assert [(m.position, m.step, m.version) for m in found] == [(1, 1, 3), (2, 1, 3), (3, 1, 3), (4, 3, 3)]
    assert await task.count() == 4


async def test_a_step_that_is_not_recorded_leaves_no_message(task: Task) -> None:
    """Done twice, out of order, by an attempt that was taken over: nothing."""
    epoch = await task.begin()
    assert await task.record(epoch, 1, {"n": 1})
    assert not await task.record(epoch, 1, {"n": "again"})
    assert not await task.record(epoch, 3, {"n": "too far"})
    newer = await task.take_over()
    assert not await task.record(epoch, 2, {"n": "zombie"})
    assert await task.record(newer, 2, {"n": 2})
    assert not await task.record(epoch, 3, {"n": "zombie"})
    assert await task.texts() == [{"n": 1}, {"n": 2}]


async def test_a_group_of_steps_keeps_each_ones_messages(
    task: Task, database: Database, connection: KeptConnection
) -> None:
    """A zombie and its successor in one statement, tasks with and without messages, one that is lost."""
    epoch = await task.begin()
    newer = await task.take_over()
    talking, silent = Task(database, connection), Task(database, connection)
    theirs, quiet = await talking.begin(), await silent.begin()
    group = [
        task.step(epoch, 1, {"by": "zombie"}, {"by": "zombie"}),
        silent.step(quiet, 1),
        task.step(newer, 1, {"by": "me"}),
        talking.step(theirs, 2, {"by": "too far"}),
        talking.step(theirs, 1, *({"n": number} for number in range(50))),
    ]
    recorded = await record_steps(connection, group)
    assert recorded.keys() == {(silent.id, quiet), (task.id, newer), (talking.id, theirs)}
    assert await task.texts() == [{"by": "me"}]
    assert await talking.texts() == [{"n": number} for number in range(50)]
    assert await silent.texts() == []


async def test_attempts_that_race_leave_one_transcript(database: Database, task: Task) -> None:
    """Each takes the task over and records as long as it may; the numbers have no gaps, and no step is there twice."""
    await task.begin()

    async def attempt(name: str) -> None:
        connection = KeptConnection(database)
        mine = Task(database, connection)
        mine.id, mine.subject = task.id, task.subject
        try:
            for _ in range(4):
                epoch = await mine.take_over()
                number = await _next_step(database, task.id)
                while number <= 60 and await mine.record(epoch, number, {"step": number, "by": name}, {"step": number}):
                    number += 1
        finally:
            await connection.close()

    await asyncio.gather(*(attempt(f"attempt {number}") for number in range(4)))
    found = await task.read(limit=MAX_READ)
    assert [message.position for message in found] == list(range(1, len(found) + 1))
    steps = [message.data["step"] for message in found]
    assert steps == [number for number in range(1, len(steps) // 2 + 1) for _ in range(2)] and len(steps) >= 20
    assert all(message.step == message.data["step"] for message in found)


async def _next_step(database: Database, task_id: uuid.UUID) -> int:
    async with database.reading() as session:
        row = await session.get(ExecutionRow, task_id)
        assert row is not None
        return row.step + 1


async def test_windows_are_bounded_in_messages_and_bytes_and_never_empty_where_there_is_more(task: Task) -> None:
    epoch = await task.begin()
    sizes = [100, 200, 50_000, 10, 10]
    await task.record(epoch, 1, *({"n": number, "x": "x" * size} for number, size in enumerate(sizes, 1)))

    async def numbers(**window: Any) -> list[int]:
        return [message.data["n"] for message in await task.read(**window)]

    assert await numbers() == [1, 2, 3, 4, 5]
    assert await numbers(limit=2) == [1, 2] and await numbers(after=2, limit=2) == [3, 4]
    assert await numbers(max_bytes=400) == [1, 2] and await numbers(max_bytes=1) == [1]
    assert await numbers(after=2, max_bytes=1_000) == [3], "one comes, however large"
    assert await numbers(newest=True, limit=2) == [4, 5] and await numbers(newest=True, max_bytes=1_000) == [4, 5]
    assert await numbers(newest=True, max_bytes=1) == [5] and await numbers(newest=True, after=4) == [5]
    assert await numbers(after=5) == [] and await numbers(after=2**63 - 1, newest=True) == []
    walked, after = list[int](), 0
    while found := await task.read(after=after, max_bytes=300):
        walked += [message.data["n"] for message in found]
        after = found[-1].position
    assert walked == [1, 2, 3, 4, 5]


async def test_the_largest_step_that_the_contract_allows(task: Task) -> None:
    epoch = await task.begin()
    await task.record(epoch, 1, *({"n": number, "x": "x" * 3_900} for number in range(MAX_STEP_MESSAGES)))
    await task.record(epoch, 2, {"x": "\U0001f99a" * (MAX_MESSAGE_BYTES // 4 - 10)})
    assert await task.count() == MAX_STEP_MESSAGES + 1
    assert [len(await task.read(max_bytes=1_000_000, limit=MAX_READ))] == [1_000_000 // 3_918]
