"""Reservations, settlements, crashes, zombies and raised limits in any order, on a real PostgreSQL: what was really
paid never exceeds a budget by more than the estimates were wrong."""

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.usage.budgets import Exhausted, Reservation
from pavo.usage.domain import Call
from tests.machines import loop_beside, run_machine
from tests.usage.spending import EURO, Attempt, Organisation, new_call

EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "30"))
COSTS = st.integers(0, 6)
TASKS = st.sampled_from([0, 1, 2, 3])
COUNTS = {0: (None, 0), 1: (None, 1), 2: (None, 2, 0), 3: (None, 3, 2, 0)}
"""Which sums a task's calls are part of: the organisation's, its own, and those of the tasks that delegated it."""
BUDGETS = (None, 0, 2)
"""The organisation, and the tasks that have one."""


@dataclass
class UnderWay:
    """A call that the provider is at."""

    call: Call
    attempt: Attempt
    task: int
    estimate: int


class Budgets(RuleBasedStateMachine):
    """The model: what was really paid, and by how much estimates were wrong; one unit of money is the smallest."""

    database: Database
    loop: asyncio.AbstractEventLoop

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(30)

    @initialize(limit=st.integers(5, 20), own=st.integers(2, 12), below=st.integers(2, 12))
    def begin(self, limit: int, own: int, below: int) -> None:
        self.org = self.do(Organisation.new(self.database))
        self.subjects = [self.org.first, self.do(self.org.task()), self.do(self.org.task(self.org.first))]
        self.subjects.append(self.do(self.org.task(self.subjects[2])))
        self.limits = dict(zip(BUDGETS, (limit, own, below), strict=True))
        self.do(self.org.budget("life", cost=limit))
        self.do(self.org.budget("month", tokens=1_000_000))
        self.do(self.org.budget("life", cost=below, task=self.subjects[2]))
        self.do(self.org.budget("life", cost=own, task=self.org.first))
        self.attempts = [self.do(Attempt.begin(self.org, each)) for each in self.subjects]
        self.flying: list[UnderWay] = []
        self.asleep: list[UnderWay] = []
        self.counted = dict.fromkeys((None, 0, 1, 2, 3), 0)
        """What must be counted: settled by what was used, cut by the estimate."""
        self.paid = dict.fromkeys((None, 0, 1, 2, 3), 0)
        self.wrong = dict.fromkeys((None, 0, 1, 2, 3), 0)

    def _pay(self, one: UnderWay, really: int, counted: int) -> None:
        for whose in COUNTS[one.task]:
            self.paid[whose] += really
            self.counted[whose] += counted
            self.wrong[whose] += max(0, really - one.estimate)

    def _fits(self, task: int, estimate: int) -> bool:
        def held(whose: int | None) -> int:
            return sum(each.estimate for each in (*self.flying, *self.dead) if whose in COUNTS[each.task])

        return all(
            self.counted[whose] + held(whose) + estimate <= self.limits[whose]
            for whose in COUNTS[task]
            if whose in self.limits
        )

    @property
    def dead(self) -> list[UnderWay]:
        """Cut, and not counted yet: they stay reserved."""
        return [each for each in self.asleep if not each.call.model.endswith("counted")]

    def _count_dead(self, task: int) -> None:
        for each in self.dead:
            if each.task == task:
                for whose in COUNTS[task]:
                    self.counted[whose] += each.estimate
                each.call = Call(each.call.id, "counted")

    @rule(task=TASKS, estimate=COSTS)
    def call(self, task: int, estimate: int) -> None:
        self._reserve(task, new_call(), estimate)

    @precondition(lambda self: self.dead)
    @rule(which=st.randoms(use_true_random=False))
    def call_again(self, which: Any) -> None:
        one = which.choice(self.dead)
        self._reserve(one.task, Call(one.call.id, "model"), one.estimate)

    def _reserve(self, task: int, call: Call, estimate: int) -> None:
        attempt = self.attempts[task]
        self._count_dead(task)
        fits = self._fits(task, estimate)
        found = self.do(attempt.reserve(call, estimate, estimate))
        if fits:
            assert isinstance(found, Reservation)
            self.flying.append(UnderWay(call, attempt, task, estimate))
        else:
            assert isinstance(found, Exhausted) and found.question is not None

    @precondition(lambda self: self.flying)
    @rule(which=st.randoms(use_true_random=False), really=st.integers(0, 8))
    def answer(self, which: Any, really: int) -> None:
        one = which.choice(self.flying)
        assert self.do(one.attempt.settle(one.call, really, really))
        assert not self.do(one.attempt.settle(one.call, really, really))
        self.flying.remove(one)
        self._pay(one, really, really)

    @precondition(lambda self: self.flying)
    @rule(which=st.randoms(use_true_random=False))
    def fail(self, which: Any) -> None:
        one = which.choice(self.flying)
        assert self.do(one.attempt.release(one.call))
        self.flying.remove(one)

    @rule(task=TASKS, really=st.integers(0, 6))
    def crash(self, task: int, really: int) -> None:
        """The worker dies; the provider answers nobody, and is paid."""
        self.attempts[task] = self.do(Attempt.begin(self.org, self.subjects[task]))
        for one in [each for each in self.flying if each.task == task]:
            self.flying.remove(one)
            self.asleep.append(one)
            self._pay(one, min(really, one.estimate), 0)

    @precondition(lambda self: self.asleep)
    @rule(which=st.randoms(use_true_random=False))
    def zombie(self, which: Any) -> None:
        """It wakes, and finds that it lost the lease."""
        one = which.choice(self.asleep)
        assert not self.do(one.attempt.settle(one.call, 1, 1))
        assert not self.do(one.attempt.release(one.call))
        if one not in self.dead:  # counted as lost: also behind its look at the lease nothing changes
            assert not self.do(one.attempt.settle(one.call, 1, 1, fenced=False))

    @rule(more=st.integers(1, 5))
    def raise_limit(self, more: int) -> None:
        self.limits[None] += more
        self.do(self.org.budget("life", cost=self.limits[None]))

    @rule(task=TASKS, more=st.integers(1, 5))
    def answer_question(self, task: int, more: int) -> None:
        """An owner raises what a task asks about."""
        self._count_dead(task)
        call = new_call()
        found = self.do(self.attempts[task].reserve(call, 3, 3))
        if isinstance(found, Reservation):
            self.flying.append(UnderWay(call, self.attempts[task], task, 3))
            return
        whose = self._whose(task, found.question.text)
        self.limits[whose] += more
        self.do(self.org.answer(self.subjects[task], found.question, {"cost": self.limits[whose]}))
        fits = self._fits(task, 3)
        again = self.do(self.attempts[task].reserve(call, 3, 3))
        assert isinstance(again, Reservation) == fits
        if fits:
            self.flying.append(UnderWay(call, self.attempts[task], task, 3))
        else:
            assert again.question.key != found.question.key

    def _whose(self, task: int, told: str) -> int | None:
        """Whose budget a question is about."""
        if "This task" in told:
            return task
        return next((each for each in BUDGETS[1:] if str(self.subjects[each].id) in told), None)

    @invariant()
    def nothing_is_overrun(self) -> None:
        if not hasattr(self, "org"):
            return
        for one in self.do(self.org.standing()):
            if one.max_cost is None:
                continue
            whose = None if one.task_id is None else [each.id for each in self.subjects].index(one.task_id)
            held = sum(each.estimate for each in (*self.flying, *self.dead) if whose in COUNTS[each.task])
            assert one.max_cost == self.limits[whose] * EURO
            assert (one.used_cost, one.reserved_cost) == (self.counted[whose] * EURO, held * EURO)
            assert self.paid[whose] <= self.limits[whose] + self.wrong[whose], "paid beyond the budget"


def test_no_order_of_events_overruns_a_budget(settings: Settings) -> None:
    with loop_beside() as loop:
        database = Database(settings.database.url, pool_size=4)
        try:
            run_machine(Budgets, {"database": database, "loop": loop}, examples=EXAMPLES, steps=25)
        finally:
            asyncio.run_coroutine_threadsafe(database.close(), loop).result(10)
