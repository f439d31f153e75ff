"""A call of a model leaves the same rows by the quick way, a statement each, and by the long one."""

import uuid
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from pavo.agents.calling.completion import ModelAnswer, ModelRequest
from pavo.errors import Unavailable
from pavo.gates.domain import Subject
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.llm.at_once import AtOnce
from pavo.llm.calls import Caller, ModelCalls
from pavo.llm.journal import Asked
from pavo.llm.models import ModelCallRow
from pavo.tasks.sql import lease
from pavo.tasks.work.context.asked_models import _holds  # pyright: ignore[reportPrivateUsage]
from pavo.usage.domain import Call, Estimate, Payer, Used
from pavo.usage.models import ReservationRow, UsageCallRow
from tests.llm.scripted import model_server as model_server
from tests.llm.test_paid_calls import Paying
from tests.llm.test_paid_calls import paying as paying
from tests.tools.rows import new_attempt

OF_ONE = ("id", "call_id", "subject_id", "task_id", "started_at", "settled_at", "at", "seconds", "request_hash")


async def _caller(database: Database, subject: Subject, **given: Any) -> Caller:
    epoch = await new_attempt(database, subject)
    return Caller(subject, epoch, partial(_holds, subject), Payer(subject, None, "asking"), **given)


async def _ask(calls: ModelCalls, caller: Caller, body: Any) -> ModelAnswer:
    return await calls.complete(caller, ModelRequest(body, identity="1/What?"))


async def _rows(database: Database, table: Any, subject: uuid.UUID) -> list[dict[str, Any]]:
    mine = table.subject_id if table is ModelCallRow else table.task_id
    async with database.reading() as session:
        rows = (await session.scalars(select(table).where(mine == subject))).all()
    members = [each.key for each in table.__table__.columns if each.key not in OF_ONE]
    return [{name: getattr(row, name) for name in members} for row in rows]


@pytest.mark.parametrize("said", [{"text": "Yes."}, {"text": "Yes.", "faults": [{"cut": 2}] * 3}, {"key": "other"}])
async def test_both_ways_leave_the_same(paying: Paying, said: dict[str, Any]) -> None:
    database, calls = paying.org.database, paying.process()
    await paying.org.budget("day", cost=50)
    found: list[Any] = []
    for text, given in (("The long way?", {}), ("The quick way?", {"lease": lease.HOLDS})):
        subject = await paying.org.task()
        paying.script.tell({"text": "Yes.", **{key: value for key, value in said.items() if key != "key"}})
        body = paying.script.request(text, max_completion_tokens=20 if "key" not in said else 90_000_000)
        answer = await _ask(calls, await _caller(database, subject, **given), body)
        rows = [await _rows(database, each, subject.id) for each in (ModelCallRow, UsageCallRow, ReservationRow)]
        found.append((None if answer.value is None else answer.value["choices"], answer.error, answer.status, rows))
    assert found[0] == found[1] and found[0][3][0]


async def test_what_is_no_usual_case_is_not_written(paying: Paying) -> None:
    """Another call by its identity, a budget that does not suffice, an attempt that is over: the long way decides."""
    database, subject = paying.org.database, paying.org.first
    caller = await _caller(database, subject)
    at_once, asked = AtOnce(database.kept, lease.HOLDS), Asked("default", "scripted")
    request = ModelRequest({"messages": []}, identity="1/x")
    call, most = Call(new_id(), "scripted"), Estimate(10, 10)
    begin = partial(at_once.begin, asked=asked, under_way=())
    assert await begin(caller.spender, request, call=call, most=most)
    assert not await begin(caller.spender, request, call=Call(new_id(), "scripted"), most=most)
    await paying.org.budget("day", tokens=5)
    other = replace(request, identity="1/y")
    assert not await begin(caller.spender, other, call=Call(new_id(), "scripted"), most=most)
    old = caller.spender
    newer = await _caller(database, subject)
    assert not await begin(old, replace(request, identity="1/z"), call=Call(new_id(), "scripted"), most=Estimate(0, 0))
    assert [row["identity"] for row in await _rows(database, ModelCallRow, subject.id)] == ["1/x"]
    assert len(await _rows(database, ReservationRow, subject.id)) == 1
    used = Used(1, 1, 0, 1, 0.1)
    assert not await at_once.settle(old, call, {"choices": []}, used), "an older attempt settles nothing"
    assert not await at_once.settle(newer.spender, call, {"choices": []}, used), "nor what it did not begin"
    assert [row["state"] for row in await _rows(database, ModelCallRow, subject.id)] == ["started"]


async def test_settled_twice_it_counts_once(paying: Paying) -> None:
    database, subject = paying.org.database, paying.org.first
    caller, at_once = await _caller(database, subject), AtOnce(paying.org.database.kept, lease.HOLDS)
    call, used = Call(new_id(), "scripted"), Used(1, 1, 0, 1, 0.1)
    request = ModelRequest({"messages": []}, identity="1/x")
    assert await at_once.begin(caller.spender, request, Asked("default", "scripted"), call, Estimate(10, 10), ())
    for _ in range(2):
        assert await at_once.settle(caller.spender, call, {"choices": []}, used)
    assert len(await _rows(database, UsageCallRow, subject.id)) == 1
    assert await _rows(database, ReservationRow, subject.id) == []


async def test_an_attempt_that_is_over_is_told_so(paying: Paying) -> None:
    database, subject = paying.org.database, paying.org.first
    old = await _caller(database, subject, lease=lease.HOLDS)
    await _caller(database, subject)
    with pytest.raises(Unavailable):
        await _ask(paying.process(), old, paying.script.request("What?"))
