"""A step that cannot be written is its agent's fault alone: the second line behind the hosts' own check."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pavo.config import Settings
from pavo.errors import AgentRefused, LeaseLost, Unavailable
from pavo.kit.sql import Database
from pavo.tasks.sql.steps import StepRecord, checkpoint_text
from pavo.tasks.work import step_recorder
from pavo.tasks.work.step_recorder import StepRecorder
from pavo.timeline.domain import NewEvent
from pavo.timeline.publish import Publisher

UNWRITABLE: list[Any] = [{1, 2}, 2**64, "\ud800", [object()]]


@pytest_asyncio.fixture
async def recorder(database: Database, settings: Settings) -> AsyncIterator[StepRecorder]:
    async with Redis.from_url(settings.redis.url) as redis:
        found = StepRecorder(database, Publisher(redis))
        found.start()
        yield found
        await found.close()


def step(data: Any) -> StepRecord:
    """A step of a task that nobody holds a lease of: written, it is a lost one."""
    return StepRecord(uuid.uuid4(), 1, 1, 1, None, None, checkpoint_text({"n": 1}), [NewEvent("x", {"v": data})])


@pytest.mark.parametrize("bad", UNWRITABLE)
def test_a_checkpoint_that_cannot_be_written_is_refused(bad: Any) -> None:
    with pytest.raises(AgentRefused, match="checkpoint"):
        checkpoint_text(bad)


@pytest.mark.parametrize("bad", UNWRITABLE)
async def test_a_step_that_cannot_be_written_harms_no_other_of_its_group(recorder: StepRecorder, bad: Any) -> None:
    group = [step(1), step(bad), step(2)]
    answers = await asyncio.gather(*map(recorder.record, group), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LeaseLost, AgentRefused, LeaseLost]
    with pytest.raises(LeaseLost):
        await recorder.record(step(3))


async def test_a_commit_that_is_cut_is_answered_and_the_recorder_goes_on(
    recorder: StepRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way = asyncio.Event()

    async def commits(*_: Any) -> Any:
        under_way.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(step_recorder, "record_steps", commits)
        waiting = [asyncio.ensure_future(recorder.record(step(n))) for n in range(3)]
        async with asyncio.timeout(10):
            await under_way.wait()
    cancelled = [task.cancel() for task in asyncio.all_tasks() if task.get_name() == "step-recorder"]
    assert cancelled == [True]
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 3
        with pytest.raises(LeaseLost):
            await recorder.record(step(1))


async def test_steps_with_large_messages_are_not_all_put_into_one_statement(
    recorder: StepRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    record_all = step_recorder.record_steps

    async def counted(connection: Any, records: Any) -> Any:
        sizes.append(sum(len(message) for record in records for message in record.messages))
        return await record_all(connection, records)

    monkeypatch.setattr(step_recorder, "record_steps", counted)
    large = [replace(step(1), messages=['"' + "x" * 1_000_000 + '"'] * 3) for _ in range(10)]
    answers = await asyncio.gather(*map(recorder.record, [*large, step(1)]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LeaseLost] * 11
    assert sum(sizes) == 10 * 3 * 1_000_002 and max(sizes) <= step_recorder.MAX_GROUP_MESSAGES
