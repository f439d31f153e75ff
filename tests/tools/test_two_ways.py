"""A call of a tool leaves the same rows and events by the quick way, a statement each, and by the long one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from pavo.agents.calling.request import ToolRequest
from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.tasks import events
from pavo.tasks.sql import lease
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent
from pavo.tools import ledger
from pavo.tools.at_once import AtOnce, Begun
from pavo.tools.ledger import Next, Terms
from pavo.tools.models import ToolCallRow
from pavo.tools.policies.domain import Call
from pavo.tools.policies.service import PolicyService, judge
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.running import Outcome
from tests.tools.rows import new_attempt, new_subject

OF_ONE = ("id", "subject_id", "started_at", "settled_at")
WORD = OperatorsWord()


def at_once(database: Database, subject: Subject, word: OperatorsWord = WORD) -> AtOnce:
    return AtOnce(database.kept, subject, word, lease.WORKS, lease.HOLDS)


def told(call_id: Any, effect: Any) -> NewEvent:
    return events.tool_called(call_id, "send", effect, "{}")


def call(effect: Any = "unsafe", tool: str = "send") -> Call:
    return Call(tool, effect, {"to": "x"}, "intern")


REQUEST = ToolRequest("send", {"to": "x"}, "a", "key:a")


async def left(database: Database, subject: Subject) -> tuple[list[Mapping[str, Any]], list[tuple[int, str]]]:
    """The rows of the calls, and numbers and types of the events."""
    async with database.reading() as session:
        rows = (await session.scalars(select(ToolCallRow).where(ToolCallRow.subject_id == subject.id))).all()
        seen = [(each.seq, each.type) for each in await timeline.read_after(session, subject.id, 0, 100)]
    members = [each.key for each in ToolCallRow.__table__.columns if each.key not in OF_ONE]
    return [{name: getattr(row, name) for name in members} for row in rows], seen


async def test_both_ways_leave_the_same(database: Database) -> None:
    for outcome in (Outcome({"n": 1}), Outcome(None), Outcome(error="It failed.", remedy="Mend it.")):
        quick, _ = await new_subject(database)
        epoch = await new_attempt(database, quick)
        ways = at_once(database, quick)
        begun = await ways.begin(REQUEST, call(), epoch, told)
        assert isinstance(begun, Begun) and [each.seq for each in begun.events] == [1]
        done = [events.tool_done(begun.id, "send", outcome.state, "")]
        settled = await ways.settle(begun.id, outcome, epoch, done)
        assert settled is not None and [each.seq for each in settled] == [2]
        long, _ = await new_subject(database)
        assert await new_attempt(database, long) == epoch
        async with database.transaction() as session:
            terms = Terms(*await judge(session, long, call(), WORD))
            claim = await ledger.claim(session, long, REQUEST, terms, epoch)
            assert claim.next is Next.RUN
            await timeline.append(session, long.id, [told(claim.id, terms.effect)])
        async with database.transaction() as session:
            assert await ledger.settle(session, claim.id, outcome, epoch)
            await timeline.append(session, long.id, done)
        assert await left(database, quick) == await left(database, long)


async def test_each_call_is_judged_by_the_words_of_its_moment(database: Database) -> None:
    """They are kept, and looked at again: what is changed between two calls holds for the second one."""
    subject, _ = await new_subject(database)
    epoch, ways, policies = await new_attempt(database, subject), at_once(database, subject), PolicyService(database)

    async def begin(number: int, effect: Any = "read") -> Begun | None:
        request = ToolRequest("send", {"to": "x"}, str(number), f"key:{number}")
        return await ways.begin(request, call(effect), epoch, told)

    assert (first := await begin(1)) is not None and first.effect == "read"
    await policies.set_effect(subject.organisation_id, "send", "idempotent")
    assert (second := await begin(2)) is not None and second.effect == "idempotent"
    denied = await policies.add(subject.organisation_id, {"decision": "deny", "tool": "send"})
    assert await begin(3) is None, "what is denied goes the long way, which says so"
    await policies.remove(denied.id)
    assert await begin(4) is not None
    strict = at_once(database, subject, OperatorsWord(unsafe="ask"))
    assert await strict.begin(ToolRequest("send", {}, "5", "key:5"), call(), epoch, told) is None
    rows, seen = await left(database, subject)
    assert [row["identity"] for row in rows] == ["key:1", "key:2", "key:4"] and len(seen) == 3


async def test_what_is_no_usual_case_is_not_written(database: Database) -> None:
    subject, _ = await new_subject(database)
    epoch, ways = await new_attempt(database, subject), at_once(database, subject)
    begun = await ways.begin(REQUEST, call(), epoch, told)
    assert begun is not None and await ways.begin(REQUEST, call(), epoch, told) is None, "it was made before"
    newer = await new_attempt(database, subject)
    twin = ToolRequest("send", {"to": "x"}, "b", "key:b")
    assert await ways.begin(twin, call(), newer, told) is None, "nobody knows of its like whether it happened"
    later = at_once(database, replace(subject, scope="v2"))
    assert await later.begin(twin, call(), newer, told) is None, "nor while another plan is worked off"
    assert await ways.begin(twin, call("read"), epoch, told) is None, "the attempt is over"
    assert await ways.settle(begun.id, Outcome(1), epoch, [told(begun.id, "unsafe")]) is None, "likewise"
    assert await ways.settle(begun.id, Outcome(1), newer, [told(begun.id, "unsafe")]) is None, "it did not begin it"
    async with database.transaction() as session:
        await lease.raise_epoch(session, subject.id)
    over = ToolRequest("send", {"to": "y"}, "c", "key:c")
    assert await ways.begin(over, call("read"), newer + 1, told) is None, "no attempt has the lease"
    rows, seen = await left(database, subject)
    assert [row["state"] for row in rows] == ["started"] and len(seen) == 1
