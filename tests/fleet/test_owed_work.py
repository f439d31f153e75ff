"""What agents owe is told to each of them, whatever becomes of the others."""

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from pavo.fleet.work import owed_work
from pavo.fleet.work.owed_work import OwedWork
from pavo.jobs.late.repository import MAX_OF_ONE, Owed
from pavo.kit.sql import Database
from tests.fleet.conftest import Gateway
from tests.fleet.fake_agent import agent
from tests.fleet.rows import Rows


class Held:
    """A session that may not be able to send."""

    def __init__(self, *, breaks: bool) -> None:
        self.opened = SimpleNamespace(agent_id=uuid.uuid4(), number=1)
        self.is_over, self.breaks = False, breaks
        self.owed_told, self.sent = set[str](), list[Any]()

    def send(self, message: Any) -> bool:
        if self.breaks:
            raise ValueError("a message that cannot be made")
        self.sent.append(message)
        return True


async def test_a_debt_that_cannot_be_told_keeps_no_other_from_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [Held(breaks=True), Held(breaks=False)]

    async def owed_by(*_: Any) -> list[Owed]:
        return [Owed(uuid.uuid4(), 1, each.opened.agent_id, late=False, tries=0) for each in sessions]

    monkeypatch.setattr(owed_work.late_work, "owed_by", owed_by)
    await OwedWork(database, SimpleNamespace(all=lambda: sessions)).look()  # type: ignore[arg-type]
    assert [len(each.sent) for each in sessions] == [0, 1]


async def test_what_one_agent_cannot_pay_keeps_no_other_from_its_own(
    gateway: Gateway, rows: Rows, database: Database
) -> None:
    """Neither does it keep that agent's later debts: what was told is not found again in that session."""
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "other") as other:
        await builder.connect()
        await other.connect()
        job, theirs = await rows.job(epoch=1_000), await rows.job("other", epoch=9)
        for epoch in range(1, MAX_OF_ONE + 11):
            await rows.attempt(job.uuid, epoch)
        await rows.attempt(theirs.uuid, 8, "other")
        owing = "UPDATE job_attempts SET cleanup_owed = true, begun_at = begun_at + :later * interval '1 day' "
        await rows.run(owing + "WHERE job_id = :id AND epoch < 1000", id=job.uuid, later=0)
        await rows.run(owing + "WHERE job_id = :id AND epoch = 8", id=theirs.uuid, later=1)
        await other.until(lambda: [each for each in other.of("command") if each.epoch == 8])
        await builder.until(lambda: len({each.epoch for each in builder.of("command")}) == MAX_OF_ONE + 10)
