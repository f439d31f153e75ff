"""What the ledger accepts, from whom: each rule of its protocol by itself."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict, LeaseLost
from pavo.flows.attempts import Attempted, Given
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.written import WrittenStep
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger import histories, holding, recording
from pavo.flows.ledger.changes import Again, Began, CancelTold, Change, Ended, ResultKey, Unknown
from pavo.flows.ledger.records import LOCAL, TEMPORAL, History, Hold, OutOfStep
from pavo.flows.local.engine import LocalEngine
from pavo.flows.runs import RunService
from pavo.flows.scheduler import Status
from pavo.kit.sql import Database

P, T = ParamSpec("P"), TypeVar("T")
FLOW = "flow: f\nsteps: {a: {tool: t@1}, b: {tool: t@1}, c: {needs: b, tool: t@1}}"
A, B, C = ResultKey("a"), ResultKey("b"), ResultKey("c")


@dataclass
class Noting:
    """Steps that note that they are done."""

    done: list[ResultKey] = field(default_factory=list[ResultKey])

    def is_repeatable(self, step: WrittenStep, *, undoes: bool) -> bool:
        return False

    async def attempt(self, step: WrittenStep, given: Given) -> Attempted:
        self.done.append(given.key)
        return Attempted(str(given.key.step))


@dataclass
class Ledger:
    """One run, and whoever writes of it."""

    database: Database
    run: uuid.UUID
    steps: Noting
    engine: LocalEngine
    at_once: bool
    """Whether commits are written in one statement, where they can be."""

    async def __call__(
        self, what: Callable[Concatenate[AsyncSession, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        async with self.database.transaction() as session:
            return await what(session, *args, **kwargs)

    async def claim(self, holder: str = "an engine") -> Hold | None:
        return await self(holding.claim, holder, 3_600.0, self.run)

    async def held(self, holder: str = "an engine") -> Hold:
        found = await self.claim(holder)
        assert found is not None
        return found

    async def commit(self, hold: Hold, *changes: Change, after: int = 0) -> int:
        if self.at_once:
            return (await recording.commit_at_once(self.database, hold, after, changes)).seq
        return (await self(recording.commit, hold, after, changes)).seq

    async def expire(self) -> None:
        statement = text("UPDATE flow_runs SET lease_until = pavo_now() WHERE id = :run")
        await self(AsyncSession.execute, statement, {"run": self.run})

    async def history(self) -> History:
        return await self(histories.history_of, self.run)

    async def states(self) -> dict[str, str]:
        return {key.step: each.state for key, each in (await self.history()).results.items()}

    async def answer(self, key: ResultKey, said: Any) -> None:
        await self(recording.answer, self.run, key, said, None, None)


Begin = Callable[..., Awaitable[Ledger]]


@pytest.fixture(params=[False, True], ids=["change by change", "at once"])
def begin(
    database: Database,
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    evaluator: Evaluator,
    request: pytest.FixtureRequest,
) -> Begin:
    async def begun(flow: str = FLOW, engine: str = LOCAL) -> Ledger:
        run, steps = await RunService(database).begin(organisation, define(flow), {}, engine), Noting()
        return Ledger(database, run, steps, LocalEngine(database, steps, evaluator), request.param)

    return begun


async def test_a_hold_ends_with_the_next_claim_also_with_one_of_the_same_engine(begin: Begin) -> None:
    ledger = await begin()
    first = await ledger.held()
    assert await ledger.claim("another") is None
    await ledger.expire()
    second = await ledger.held()
    assert second.epoch == first.epoch + 1
    for refused in (
        ledger.commit(first, Began(A, repeatable=True)),
        ledger(holding.renew, first, 10.0),
        ledger(holding.release, first, idle=True),
    ):
        with pytest.raises(LeaseLost) as lost:
            await refused
        assert not isinstance(lost.value, OutOfStep)
    assert await ledger.commit(second, Began(A, repeatable=True)) == 1


async def test_a_commit_that_is_done_twice_is_refused_whatever_it_says(begin: Begin) -> None:
    ledger = await begin()
    hold = await ledger.held()
    seq = await ledger.commit(hold, Began(A, repeatable=True), Began(B, repeatable=True))
    with pytest.raises(OutOfStep):
        await ledger.commit(hold, Began(C, repeatable=True))
    assert await ledger.commit(hold, Ended(A, Status.SUCCEEDED), after=seq) == 3
    with pytest.raises(OutOfStep):
        await ledger.commit(hold, Ended(B, Status.SUCCEEDED), after=seq)
    assert await ledger.states() == {"a": "succeeded", "b": "running"}


async def test_after_the_lease_nothing_begins_and_every_end_is_taken(begin: Begin) -> None:
    ledger = await begin()
    hold = await ledger.held()
    seq = await ledger.commit(hold, Began(A, repeatable=True))
    await ledger.expire()
    for change in (Began(B, repeatable=True), Again(A)):
        with pytest.raises(Conflict):
            await ledger.commit(hold, change, after=seq)
    assert await ledger.states() == {"a": "running"}
    await ledger.commit(hold, Ended(A, Status.SUCCEEDED), after=seq)
    assert await ledger.states() == {"a": "succeeded"}


async def test_a_run_is_handed_over_once_its_engine_has_given_it_up(begin: Begin) -> None:
    ledger = await begin()
    hold = await ledger.held()
    seq = await ledger.commit(hold, Began(A, repeatable=False), Began(B, repeatable=True))
    epoch = await ledger(holding.begin_hand_over, ledger.run)
    assert epoch == hold.epoch == await ledger(holding.begin_hand_over, ledger.run)
    with pytest.raises(Conflict):
        await ledger.commit(hold, Began(C, repeatable=True), after=seq)
    assert await ledger(holding.complete_hand_over, ledger.run, epoch) is None
    await ledger.expire()
    assert await ledger.claim() is None
    assert await ledger(holding.complete_hand_over, ledger.run, epoch) == epoch + 1
    assert await ledger.states() == {"a": "unknown", "b": "running"}
    with pytest.raises(LeaseLost):
        await ledger(holding.complete_hand_over, ledger.run, epoch)
    with pytest.raises(LeaseLost):
        await ledger.commit(hold, Ended(B, Status.SUCCEEDED), after=seq)
    assert await ledger.claim() is None


async def test_one_workflow_has_a_run_under_one_epoch(begin: Begin) -> None:
    ledger = await begin(engine=TEMPORAL)
    with pytest.raises(LeaseLost):
        await ledger(holding.claim_for_temporal, ledger.run, 1, "early")
    hold = await ledger(holding.claim_for_temporal, ledger.run, 0, "one")
    assert await ledger(holding.claim_for_temporal, ledger.run, 0, "one") == hold
    with pytest.raises(LeaseLost):
        await ledger(holding.claim_for_temporal, ledger.run, 0, "another")
    assert await ledger.claim() is None
    await ledger.commit(hold, Began(A, repeatable=True))


async def test_what_is_in_flight_on_temporal_is_taken_back_where_that_has_lost_it_alone(begin: Begin) -> None:
    ledger = await begin(engine=TEMPORAL)
    hold = await ledger(holding.claim_for_temporal, ledger.run, 0, "one")
    await ledger.commit(hold, Began(A, repeatable=False), Began(B, repeatable=True))
    with pytest.raises(Conflict):
        await ledger(holding.take_back, ledger.run, 0)
    with pytest.raises(LeaseLost):
        await ledger(holding.take_back, ledger.run, 1, is_lost=True)
    assert await ledger(holding.take_back, ledger.run, 0, is_lost=True) == 1
    assert await ledger.states() == {"a": "unknown", "b": "running"}
    with pytest.raises(LeaseLost):
        await ledger.commit(hold, Ended(A, Status.SUCCEEDED), after=2)
    with pytest.raises(LeaseLost):
        await ledger(holding.claim_for_temporal, ledger.run, 0, "late")
    assert await ledger.claim() is not None


async def test_a_limit_that_passes_while_a_run_is_given_up_is_not_passed_over(begin: Begin) -> None:
    ledger = await begin()
    hold = await ledger.held()
    await ledger.commit(hold, Began(A, repeatable=True, timer=timedelta(hours=1)))
    statement = text("UPDATE flow_runs SET ends_by = pavo_now() WHERE id = :run")
    await ledger(AsyncSession.execute, statement, {"run": ledger.run})
    await ledger(holding.release, hold, idle=True)
    hold = await ledger.held()
    await ledger.commit(hold, CancelTold(compensate=False), after=1)
    await ledger(holding.release, hold, idle=True)
    assert await ledger.claim() is None


async def test_what_was_in_flight_is_done_again_only_where_it_may_be(begin: Begin) -> None:
    ledger = await begin()
    await ledger.commit(await ledger.held("dead"), Began(A, repeatable=False), Began(B, repeatable=True))
    await ledger.expire()
    found = await asyncio.wait_for(ledger.engine.run(ledger.run), 60)
    assert (found.state, found.holder) == ("running", None)
    assert await ledger.states() == {"a": "unknown", "b": "succeeded", "c": "succeeded"}
    assert ledger.steps.done == [B, C]


async def test_what_follows_an_answer_begins_though_another_step_is_unknown(begin: Begin) -> None:
    """An engine that takes over finds both at once: what was answered, and what was in flight."""
    ledger = await begin()
    hold = await ledger.held("dead")
    seq = await ledger.commit(hold, Began(A, repeatable=False), Began(B, repeatable=False))
    await ledger.commit(hold, Unknown(B, "who knows"), after=seq)
    await ledger.answer(B, "succeeded")
    await ledger.expire()
    found = await asyncio.wait_for(ledger.engine.run(ledger.run), 60)
    assert found.holder is None
    assert await ledger.states() == {"a": "unknown", "b": "succeeded", "c": "succeeded"}


UNDONE = "flow: f\nsteps: {a: {tool: t@1, compensate: {tool: u@1}}, b: {tool: t@1}, c: {needs: [a, b], tool: t@1}}"
PLAIN = "flow: f\nsteps: {a: {tool: t@1}, b: {tool: t@1}, c: {needs: [a, b], tool: t@1}}"


async def asked(begin: Begin, flow: str) -> Ledger:
    """A run that waits for people: `a` has happened or has not."""
    ledger = await begin(flow)
    await ledger.commit(await ledger.held("dead"), Began(A, repeatable=False))
    await ledger.expire()
    await asyncio.wait_for(ledger.engine.run(ledger.run), 60)
    assert await ledger.states() == {"a": "unknown", "b": "succeeded"}
    return ledger


@pytest.mark.parametrize(("flow", "compensate"), [(UNDONE, False), (PLAIN, True)])
async def test_a_run_that_is_cancelled_does_not_wait_for_answers(begin: Begin, flow: str, compensate: bool) -> None:
    ledger = await asked(begin, flow)
    await ledger(holding.ask_cancel, ledger.run, compensate=compensate)
    found = await asyncio.wait_for(ledger.engine.run(ledger.run), 60)
    assert (found.state, found.error) == ("cancelled", None)
    history = await ledger.history()
    result = history.results[A]
    assert (result.state, result.is_asked) == ("unknown", False) and result.error is not None
    assert C not in history.results
    with pytest.raises(Conflict, match="is over"):
        await ledger.answer(A, "succeeded")
    assert (await ledger.history()).results == history.results


@pytest.mark.parametrize(("said", "done"), [("succeeded", [B, ResultKey("a", undoes=True)]), ("failed", [B])])
async def test_what_is_to_be_undone_is_asked_about_first(begin: Begin, said: str, done: list[ResultKey]) -> None:
    ledger = await asked(begin, UNDONE)
    await ledger(holding.ask_cancel, ledger.run, compensate=True)
    found = await asyncio.wait_for(ledger.engine.run(ledger.run), 60)
    assert found.state == "running" and (await ledger.history()).results[A].is_asked
    await ledger.answer(A, said)
    found = await asyncio.wait_for(ledger.engine.run(ledger.run), 60)
    assert found.state == "cancelled"
    assert ledger.steps.done == done
