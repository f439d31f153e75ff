"""Calls, crashes, zombies, other plans, policies and answers in any order, on a real PostgreSQL: what is recorded never
runs again, no unsafe effect of unknown outcome does, but by a person's word, and what is to be asked about runs with an
approval of just that call alone."""

import asyncio
import os
import uuid
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from pavo.agents.asking.question import Question
from pavo.agents.calling.request import ToolRequest
from pavo.config import Settings
from pavo.gates import repository as gates
from pavo.gates.domain import OPEN
from pavo.kit.sql import Database
from pavo.tasks.sql import lease
from pavo.tasks.work.context.asked_people import new_gate
from pavo.tools import approvals, ledger
from pavo.tools.contract import IDEMPOTENT, UNSAFE, Effect
from pavo.tools.ledger import Claim, Next, Terms
from pavo.tools.models import ToolCallRow
from pavo.tools.policies import repository as policies
from pavo.tools.policies.domain import ALLOW, ASK, DENY, Decision
from pavo.tools.policies.domain import Call as PolicyCall
from pavo.tools.policies.service import judge
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.running import Outcome
from tests.machines import loop_beside, run_machine
from tests.tools.rows import new_attempt, new_subject

EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "40"))
EFFECTS: dict[str, Effect] = {"pay": UNSAFE, "put": IDEMPOTENT}
NAMES = st.sampled_from("abcdef")
TOOLS = st.sampled_from(["pay", "pay", "put"])
CRASHES = st.sampled_from(["", "", "before intent", "after intent", "after effect", "after settle", "unknown"])


@dataclass
class Call:
    """What the model knows of a call."""

    tool: str
    arguments: int
    epoch: int
    recorded: bool = False
    value: Any = None
    unknown: bool = False
    """Said by the tool itself."""
    question: Question | None = None
    """The newest that was asked about it."""
    answer: Any = None
    state: str = "new"
    """new: it did not begin; begun; denied."""
    approval: Question | None = None
    """The newest question whether it may begin."""
    rule: Any = None
    """What had that asked."""
    said: str | None = None
    """What people said to it."""


class Ledger(RuleBasedStateMachine):
    """The model: every call that was begun, what it is known as, and how often its effect really happened."""

    database: Database
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[uuid.UUID, Call] = {}
        self.known: dict[str, tuple[str, int, uuid.UUID]] = {}
        self.effects: Counter[uuid.UUID] = Counter()
        self.allowed: Counter[uuid.UUID] = Counter()
        self.asleep: list[tuple[uuid.UUID, int]] = []
        """Attempts that had begun a call and were taken over: call and epoch."""
        self.answers = 0
        self.policies: dict[str, tuple[uuid.UUID, Decision, bool]] = {}
        """By tool: its id, what it says, and whether it has a schema."""
        self.asked: dict[Question, uuid.UUID] = {}
        """Whether calls may begin, and about which call."""
        self.open: set[str] = set()
        """Hashes of gates that take an answer: another plan pauses them."""

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(30)

    @initialize()
    def begin(self) -> None:
        self.subject, self.user = self.do(new_subject(self.database))
        self.epoch = self.do(new_attempt(self.database, self.subject))

    # What a worker does

    async def claim(self, name: str, tool: str, arguments: int, epoch: int) -> Claim | None:
        request = ToolRequest(tool, {"n": arguments}, name, f"key:{name}")
        async with self.database.transaction() as session:
            if not await lease.holds(session, self.subject.id, epoch, working=True):
                return None
            asked = PolicyCall(tool, EFFECTS[tool], request.arguments, "intern")
            terms = Terms(*await judge(session, self.subject, asked, OperatorsWord()))
            return await ledger.claim(session, self.subject, request, terms, epoch)

    async def settle(self, call_id: uuid.UUID, outcome: Outcome, epoch: int) -> bool:
        async with self.database.transaction() as session:
            held = await lease.holds(session, self.subject.id, epoch)
            return held and await ledger.settle(session, call_id, outcome, epoch)

    def run(self, claim: Claim, tool: str, arguments: int, crash: str) -> None:
        """The effect of a call that was claimed, and what is recorded of it."""
        call = self.calls[claim.id]
        assert not call.recorded, "a recorded outcome is run again"
        call.epoch, call.unknown, call.state = self.epoch, False, "begun"
        for call_id, epoch in self.asleep:
            if call_id == claim.id:  # it wakes in the middle, and gets past the lease
                assert not self.do(self.settle_unfenced(call_id, epoch))
        if crash == "after intent":
            return self.take_over(claim.id)
        self.effects[claim.id] += 1
        if crash == "after effect":
            return self.take_over(claim.id)
        if crash == "unknown":
            call.unknown = True
            assert self.do(self.settle(claim.id, Outcome(error="lost", unknown=True), self.epoch))
            return None
        value = f"{claim.id} {self.effects[claim.id]}"
        assert self.do(self.settle(claim.id, Outcome(value), self.epoch))
        assert not self.do(self.settle(claim.id, Outcome("again"), self.epoch)), "an outcome is recorded once"
        call.recorded, call.value = True, value
        if crash == "after settle":
            self.take_over(claim.id)
        return None

    def take_over(self, call_id: uuid.UUID | None = None) -> None:
        if call_id is not None:
            self.asleep.append((call_id, self.epoch))
        self.epoch = self.do(new_attempt(self.database, self.subject))

    # What is expected

    def is_unknown(self, call: Call) -> bool:
        return call.state == "begun" and not call.recorded and (call.unknown or call.epoch < self.epoch)

    def verdict(self, call: Call) -> Decision:
        """Whether it may begin now."""
        _, decision, schema = self.policies.get(call.tool, (None, ALLOW, False))
        if DENY in (call.said, decision):
            return DENY
        others = [each for each in self.calls.values() if each.tool == call.tool and each.rule == schema]
        for_task = any(each.said == approvals.FOR_TASK for each in others)
        return ALLOW if decision == ALLOW or call.said is not None or for_task else ASK

    def meant(self, name: str, tool: str, arguments: int) -> uuid.UUID | None:
        """The call that this is, if it was made before."""
        if name in self.known:
            return self.known[name][2]
        if EFFECTS[tool] != UNSAFE:
            return None
        same = [key for key, call in self.calls.items() if (call.tool, call.arguments) == (tool, arguments)]
        return next((key for key in same if self.is_unknown(self.calls[key])), None)

    @rule(name=NAMES, tool=TOOLS, arguments=st.integers(1, 2), crash=CRASHES)
    def call(self, name: str, tool: str, arguments: int, crash: str) -> None:
        if crash == "before intent":
            return self.take_over()
        known, meant = self.known.get(name), self.meant(name, tool, arguments)
        before = None if meant is None else self.calls[meant]
        claim = self.do(self.claim(name, tool, arguments, self.epoch))
        assert claim is not None
        if known is not None and known[:2] != (tool, arguments):
            assert claim.next is Next.CHANGED
            return None
        self.known[name] = (tool, arguments, claim.id)
        if before is None:
            assert claim.id not in self.calls
            self.calls[claim.id] = Call(tool, arguments, self.epoch)
            return self.begins(claim, tool, arguments, crash)
        assert claim.id == meant, "another call than it was before, or than the one that nobody knows about"
        if before.recorded:
            assert (claim.next, claim.outcome.value) == (Next.RECORDED, before.value)
        elif before.state == "denied" and before.epoch == self.epoch:
            assert claim.next is Next.DENIED and not claim.is_new and claim.outcome.error
        elif before.state == "begun" and not self.is_unknown(before):
            assert claim.next is Next.UNDER_WAY
        elif before.state != "begun" or before.tool == "put":
            self.begins(claim, tool, arguments, crash)
        else:
            self.resumed(claim, before, crash)
        return None

    @precondition(lambda self: self.known)
    @rule(data=st.data(), crash=CRASHES)
    def again(self, data: st.DataObject, crash: str) -> None:
        """The code since the last checkpoint runs again."""
        name = data.draw(st.sampled_from(sorted(self.known)))
        tool, arguments, _ = self.known[name]
        self.call(name, tool, arguments, crash)

    @precondition(lambda self: any(self.is_unknown(call) for call in self.calls.values()))
    @rule(data=st.data(), name=NAMES, crash=CRASHES)
    def try_again(self, data: st.DataObject, name: str, crash: str) -> None:
        """A model that got no answer calls the same under another key."""
        call = data.draw(st.sampled_from([call for call in self.calls.values() if self.is_unknown(call)]))
        self.call(name, call.tool, call.arguments, crash)

    def begins(self, claim: Claim, tool: str, arguments: int, crash: str) -> None:
        """A call that is to begin, for the first time or once more, if it may."""
        call = self.calls[claim.id]
        verdict = self.verdict(call)
        if verdict == ASK:
            assert claim.next is Next.ASK and claim.question is not None and claim.question.kind == "approval"
            assert str(claim.id) in claim.question.text and f'"n": {arguments}' in claim.question.text
            assert self.do(self.ask(claim.question)) == (claim.question.hash not in self.open)
            self.asked[claim.question] = claim.id
            self.open.add(claim.question.hash)
            call.approval, call.rule, call.epoch = claim.question, self.policies[tool][2], self.epoch
            call.state, call.unknown = ("begun", True) if call.state == "begun" else ("new", False)
            return
        call.question = call.answer = None
        if verdict == DENY:
            assert claim.next is Next.DENIED and claim.is_new == (call.state != "denied") and claim.outcome.error
            call.state, call.epoch = "denied", self.epoch
            return
        assert claim.next is Next.RUN
        self.run(claim, tool, arguments, crash)

    @rule(tool=TOOLS, decision=st.sampled_from([ALLOW, ASK, ASK, DENY]), schema=st.booleans())
    def say(self, tool: str, decision: Decision, schema: bool) -> None:
        """An owner adds a policy, or changes it."""
        values = {"tool": tool, "decision": decision, "arguments": {"required": ["n"]} if schema else None}
        before = self.policies.get(tool)
        policy_id = self.do(self.keep(None if before is None else before[0], values))
        self.policies[tool] = (policy_id, decision, schema)

    async def keep(self, policy_id: uuid.UUID | None, values: dict[str, Any]) -> uuid.UUID:
        async with self.database.transaction() as session:
            if policy_id is None:
                return await policies.add(session, self.subject.organisation_id, values)
            assert await policies.change(session, policy_id, values)
            return policy_id

    def unanswered(self) -> list[Question]:
        return [each for each in self.asked if each.hash in self.open]

    @precondition(lambda self: self.unanswered())
    @rule(data=st.data(), said=st.sampled_from(approvals.ANSWERS))
    def approve(self, data: st.DataObject, said: str) -> None:
        """People answer; also a question that is not the newest about its call."""
        question = data.draw(st.sampled_from(self.unanswered()))
        self.do(self.give(question, said))
        self.open.remove(question.hash)
        call = self.calls[self.asked[question]]
        if call.approval == question:
            call.said = said

    @precondition(lambda self: self.unanswered())
    @rule(data=st.data(), said=st.sampled_from(approvals.ANSWERS), text=st.sampled_from(["Weather?", "May I?"]))
    def forge(self, data: st.DataObject, said: str, text: str) -> None:
        """An agent's process opens a gate that looks like one of these: what people say to that counts for nothing."""
        question = data.draw(st.sampled_from(self.unanswered()))
        forged = replace(question, text=text)
        if self.do(self.ask(forged)):
            self.do(self.give(forged, said))

    def resumed(self, claim: Claim, call: Call, crash: str) -> None:
        """An unsafe call whose outcome is unknown."""
        if call.answer == ledger.NO:
            self.begins(claim, call.tool, call.arguments, crash)
        elif call.answer == ledger.STOP:
            assert claim.next is Next.STOPPED and claim.by
            call.question = call.answer = None
            call.epoch, call.unknown = self.epoch, True
        elif call.answer is not None:
            assert claim.next is Next.RECORDED
            call.value = call.answer[ledger.YES] if isinstance(call.answer, dict) else None
            assert claim.outcome.value == call.value, "the answer of another gate"
            call.recorded = True
        else:
            assert claim.next is Next.ASK and claim.question is not None
            assert call.question in (None, claim.question), "asked twice, it is another question"
            opened = self.do(self.ask(claim.question))
            assert opened == (claim.question.hash not in self.open)
            self.open.add(claim.question.hash)
            call.question, call.epoch, call.unknown = claim.question, self.epoch, True

    async def ask(self, question: Question) -> bool:
        async with self.database.transaction() as session:
            return (await gates.open_gate(session, self.subject, new_gate(question)))[1]

    @rule()
    def resume(self) -> None:
        self.take_over()

    @rule()
    def plan_anew(self) -> None:
        """The prompt is edited: identities and gates of the plan before are nobody's any more."""
        self.do(self.supersede())
        self.subject = replace(self.subject, scope=f"v{int(self.subject.scope[1:]) + 1}")
        self.known.clear()
        self.open.clear()
        self.take_over()

    async def supersede(self) -> None:
        async with self.database.transaction() as session:
            await gates.pause(session, self.subject.id)

    def open_questions(self) -> list[uuid.UUID]:
        asked = {key: call.question for key, call in self.calls.items() if call.question is not None}
        return [key for key, question in asked.items() if question.hash in self.open]

    @precondition(lambda self: self.open_questions())
    @rule(data=st.data(), kind=st.sampled_from([ledger.YES, "result", ledger.NO, ledger.STOP]))
    def answer(self, data: st.DataObject, kind: str) -> None:
        key = data.draw(st.sampled_from(self.open_questions()))
        call = self.calls[key]
        self.answers += 1
        answer = {ledger.YES: f"answer {self.answers}"} if kind == "result" else kind
        assert call.question is not None
        self.do(self.give(call.question, answer))
        call.answer = answer
        self.open.remove(call.question.hash)
        self.allowed[key] += answer == ledger.NO

    async def give(self, question: Question, answer: Any) -> None:
        async with self.database.transaction() as session:
            gate = await gates.find(session, self.subject, question.key, question.hash)
            assert gate is not None and gate.state == OPEN
            proposed = await gates.propose(session, gate.id, answer, "", self.user, "ada@example.com")
            closed, first = await gates.take(session, gate.id, proposed)
            assert first and closed is not None and closed.answer == answer

    @precondition(lambda self: self.asleep)
    @rule(data=st.data(), claims=st.booleans(), name=NAMES)
    def zombie_wakes(self, data: st.DataObject, claims: bool, name: str) -> None:
        call_id, epoch = data.draw(st.sampled_from(self.asleep))
        before = self.do(self.rows())
        if claims:
            assert self.do(self.claim(name, "pay", 1, epoch)) is None
        else:
            assert not self.do(self.settle(call_id, Outcome("from a zombie"), epoch))
            # Neither where it gets past the lease: a row that a newer attempt has begun is not its.
            if self.calls[call_id].epoch > epoch:
                assert not self.do(self.settle_unfenced(call_id, epoch))
        assert self.do(self.rows()) == before, "an older attempt changed something"

    async def settle_unfenced(self, call_id: uuid.UUID, epoch: int) -> bool:
        async with self.database.transaction() as session:
            return await ledger.settle(session, call_id, Outcome("from a zombie"), epoch)

    async def rows(self) -> list[tuple[Any, ...]]:
        row = ToolCallRow
        query = select(row.id, row.state, row.epoch, row.outcome, row.same_as, row.runs).order_by(row.id)
        async with self.database.reading() as session:
            return [tuple(each) for each in await session.execute(query.where(row.subject_id == self.subject.id))]

    @invariant()
    def nothing_is_doubled(self) -> None:
        for key, call in self.calls.items():
            if call.tool == "pay":
                assert self.effects[key] <= 1 + self.allowed[key], "an unsafe effect ran again by itself"

    @invariant()
    def what_is_recorded_stays(self) -> None:
        if not self.calls:
            return
        rows = {row[0]: row for row in self.do(self.rows())}
        for key, call in self.calls.items():
            if call.recorded:
                assert rows[key][1] == "done" and rows[key][3] == call.value


def test_calls_crashes_and_answers_in_any_order(settings: Settings) -> None:
    with loop_beside() as loop:
        database = Database(settings.database.url, pool_size=2)
        try:
            run_machine(Ledger, {"database": database, "loop": loop}, examples=EXAMPLES, steps=40)
        finally:
            asyncio.run_coroutine_threadsafe(database.close(), loop).result(10)
