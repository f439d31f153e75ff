"""What agents owe is told to each of them, whatever becomes of the others."""

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from pavo.fleet.work import owed_work
from pavo.fleet.work.owed_work import OwedWork
from pavo.jobs.late.repository import Owed
from pavo.kit.sql import Database


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
