"""The ledger and the hand-over against a model: engines die on any line, come back late, do things twice, and lose
replies. Whatever they do, each step counts once, and the run comes to the end that the scheduler alone gives it."""

import asyncio
import contextlib
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict, LeaseLost
from pavo.flows import driving
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.evaluation import decide
from pavo.flows.ledger import histories, holding, recording, versions
from pavo.flows.ledger.changes import Began, CancelTold, Decided, Ended, LeftUnknown, ResultKey, Skipped
from pavo.flows.ledger.records import HANDING_OVER, LOCAL, TEMPORAL, WAITING, History, RunRecord
from pavo.flows.progress import Progress
from pavo.flows.scheduler import Status
from pavo.flows.temporal.contracts import start_id
from pavo.kit.ids import new_id
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from tests.flows.ledger.acting import Actor, Literals, World
from tests.machines import loop_beside, run_machine
from tests.parts import Stores, drop_database, new_database

EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "12"))
JOINS = ("all_success", "any_success", "all_done")
RETRY = {"max": 90, "first": "0s"}


@st.composite
def drawn_step(draw: st.DrawFn, earlier: list[str]) -> dict[str, Any]:
    needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2)) if earlier else []
    step: dict[str, Any] = {"needs": needs}
    if needs:
        step["join"] = draw(st.sampled_from(JOINS))
    if draw(st.integers(0, 4)) == 0:
        step["if"] = draw(st.sampled_from(("${{ true }}", "${{ false }}", "${{ null }}")))
    kind = draw(st.sampled_from(("tool", "tool", "tool", "sleep", "each")))
    if kind == "sleep":
        return {**step, "sleep": "0s"}
    step |= {"tool": "t@1", "retry": RETRY}
    if draw(st.booleans()):
        step["compensate"] = {"tool": "u@1"}
    if kind == "each":
        how = draw(st.sampled_from(("stop", "collect")))
        items = draw(st.sampled_from(("[]", "[7]", "[7, 8]", "[7, 8, 9]")))
        parallel = draw(st.integers(1, 2))
        step["for_each"] = {"in": f"${{{{ {items} }}}}", "max": 9, "parallel": parallel, "on_item_failure": how}
    return step


@st.composite
def drawn_flow(draw: st.DrawFn) -> dict[str, Any]:
    steps: dict[str, dict[str, Any]] = {}
    for number in range(draw(st.integers(4, 8))):
        steps[f"s{number}"] = draw(drawn_step(list(steps)))
    policy = {"policy": draw(st.sampled_from(("continue", "drain", "cancel"))), "compensate": draw(st.booleans())}
    limits = {"in_flight": draw(st.integers(1, 3))}
    return {"flow": "drawn", "on_failure": policy, "limits": limits, "steps": steps}


def expected(definition: Definition, world: World) -> Progress:
    """The run as it ends when nothing is ever interrupted."""
    progress = Progress(definition, {}, {})
    running: list[ResultKey] = []
    while progress.outcome is None:
        for step, why in list(progress.skips.items()):
            progress.told(Skipped(step, why))
        for key in list(progress.begins):
            progress.told(Began(key, repeatable=True))
            running.append(key)
        for step in list(progress.decides):
            found = decide(definition.flow.steps[step], progress.known, Literals())
            progress.told(Decided(step, found.decision, found.items, found.error))
        if running and not progress.begins and not progress.skips:
            key = running.pop(0)
            failed = world.fails.get(key, False) and definition.flow.steps[key.step].kind != "sleep"
            output = None if failed or definition.flow.steps[key.step].kind == "sleep" else world.output(key)
            progress.told(
                Ended(key, Status.FAILED if failed else Status.SUCCEEDED, output, "it fails" if failed else None)
            )
    return progress


@dataclass
class Started:
    """A workflow that Temporal has, by its id: a second start of it is refused."""

    epoch: int
    actor: Actor


class Engines(RuleBasedStateMachine):
    """One run; two local engines, and one workflow for each epoch under which Temporal was given the run."""

    url: str
    database: Database
    loop: asyncio.AbstractEventLoop

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(60)

    @initialize(flow=drawn_flow(), seed=st.integers(0, 2**32))
    def begin(self, flow: dict[str, Any], seed: int) -> None:
        self.random = random.Random(seed)  # what Hypothesis draws is small more often than not: all would die early
        self.actors: list[Actor] = []
        self.started: dict[str, Started] = {}
        self.run = new_id()
        self.definition = definition_of(orjson.dumps(flow), lambda sources: [None] * len(sources))
        keys = [
            ResultKey(step, item, undoes)
            for step in flow["steps"]
            for item in (None, 0, 1, 2)
            for undoes in (False, True)
        ]
        fails = {key: self.random.random() < 0.12 for key in keys}
        transients = {key: self.random.choice((0, 0, 1)) for key in keys}
        unsafe = frozenset(step for step in flow["steps"] if self.random.random() < 0.6)
        self.world = World(self.database, self.definition, fails, transients, unsafe, self.run)
        on_temporal = self.random.random() < 0.2
        self.do(self._begin(TEMPORAL if on_temporal else LOCAL))
        if not on_temporal:
            self.local_engine()

    async def _begin(self, engine: str) -> None:
        organisation = uuid.uuid4()
        async with self.database.transaction() as session:
            await session.execute(text("INSERT INTO organisations (id, name) VALUES (:id, 'o')"), {"id": organisation})
        for _ in range(2):  # its reply may be lost
            async with self.database.transaction() as session:
                await versions.begin_run(session, self.run, organisation, self.definition, {}, engine)

    def row(self) -> RunRecord:
        async def read() -> RunRecord:
            async with self.database.reading() as session:
                return await histories.run_of(session, self.run)

        return self.do(read())

    async def _actor(self, epoch: int | None = None) -> Actor:
        return Actor(self.url, self.world, f"engine-{len(self.actors)}", epoch)

    @rule()
    def local_engine(self) -> None:
        if sum(not each.is_over for each in self.actors) > 2:  # no precondition: what engines do is not the same twice
            return
        actor = self.do(self._actor())
        self.actors.append(actor)
        self.do(actor.advance(self.random.randint(2, 24)))

    @rule(which=st.integers(0, 9))
    def advance(self, which: int) -> None:
        if actor := self._alive(which):
            self.do(actor.advance(self.random.randint(1, 12)))

    @rule(which=st.integers(0, 9))
    def die(self, which: int) -> None:
        """On a line; the workflows of Temporal do not die, they are lost (see below)."""
        actor = self._alive(which)
        if actor is None or actor.epoch is not None:
            return
        actor.gate.dies_in = self.random.randint(0, 60)
        self.do(actor.advance(30))
        self.do(actor.kill())

    @rule(which=st.integers(0, 9))
    def lose_a_reply(self, which: int) -> None:
        if actor := self._alive(which):
            actor.gate.loses_reply = True
            self.do(actor.advance(3))

    @rule()
    def leases_expire(self) -> None:
        self.do(self._pause())
        self.do(self._execute("UPDATE flow_runs SET lease_until = pavo_now() WHERE lease_until IS NOT NULL"))

    async def _pause(self) -> None:
        for actor in self.actors:
            actor.pause()

    @rule(which=st.integers(0, 9))
    def keep_a_lease(self, which: int) -> None:
        """Also one that is over, or another engine's since."""
        if actor := self._alive(which):
            self.do(actor.keep())
            self.do(actor.settle())

    @rule(complete=st.booleans())
    def hand_over(self, complete: bool) -> None:
        row = self.row()
        if self.random.random() < 0.7:
            return
        try:
            epoch = self.do(self._in_transaction(lambda session: holding.begin_hand_over(session, self.run)))
        except Conflict:
            assert row.engine == TEMPORAL or row.is_over
            return
        if complete:
            self._complete(epoch)

    @rule()
    def complete_hand_over(self) -> None:
        self._complete(self.row().epoch)

    def _complete(self, epoch: int) -> None:
        before = self.row()
        try:
            found = self.do(self._in_transaction(lambda session: holding.complete_hand_over(session, self.run, epoch)))
        except LeaseLost:
            assert before.state != HANDING_OVER
            return
        if found is not None:
            assert found == epoch + 1
            with pytest.raises(LeaseLost):  # done twice, it is refused
                self.do(self._in_transaction(lambda session: holding.complete_hand_over(session, self.run, epoch)))

    @rule(which=st.integers(0, 9))
    def die_and_be_followed(self, which: int) -> None:
        self.die(which)
        self.leases_expire()
        self.local_engine()

    @rule(late=st.integers(0, 2))
    def start_on_temporal(self, late: int) -> None:
        """Under the run's epoch, or an older one: a start that was long under way."""
        row = self.row()
        epoch = max(row.epoch - late, 0)
        name = start_id(str(self.run), epoch)
        if (row.engine == TEMPORAL or late) and name not in self.started:
            actor = self.do(self._actor(epoch))
            self.actors.append(actor)
            self.do(actor.advance(6))
            self.started[name] = Started(epoch, actor)

    @rule(lost=st.booleans())
    def take_back(self, lost: bool) -> None:
        row = self.row()
        if row.engine != TEMPORAL or row.is_over:
            return
        if lost:
            for each in self.started.values():
                self.do(each.actor.kill())
        try:
            self.do(self._in_transaction(lambda session: holding.take_back(session, self.run, row.epoch, is_lost=lost)))
        except Conflict:
            assert not lost

    @rule(compensate=st.booleans())
    def cancel(self, compensate: bool) -> None:
        if self.random.random() < 0.8:  # it ends what is of interest
            return
        try:
            self.do(self._in_transaction(lambda session: holding.ask_cancel(session, self.run, compensate=compensate)))
        except Conflict:
            assert self.row().is_over

    @rule(which=st.integers(0, 9))
    def stand_still(self, which: int) -> None:
        """Nothing begins of a run that is paused, whoever has it, and whatever they knew before."""
        if self.random.random() < 0.5:
            return
        try:
            self.do(self._in_transaction(lambda session: holding.pause(session, self.run, "why")))
        except Conflict:
            assert self.row().is_over or self.row().cancel_asked
            return
        before = self.do(self._attempts())
        if actor := self._alive(which):
            self.do(actor.advance(self.random.randint(1, 12)))
        assert self.do(self._attempts()) == before

    async def _attempts(self) -> int:
        async with self.database.reading() as session:
            query = text("SELECT coalesce(sum(attempt), 0) FROM flow_results WHERE run_id = :run")
            return int((await session.scalars(query, {"run": self.run})).one())

    @rule()
    def go_on(self) -> None:
        with contextlib.suppress(Conflict):  # it is over
            self.do(self._in_transaction(lambda session: holding.resume(session, self.run)))

    @rule()
    def people_answer(self) -> None:
        self.do(self._answer())

    async def _answer(self) -> None:
        async with self.database.transaction() as session:
            history = await histories.history_of(session, self.run)
        for key, result in history.results.items():
            if not result.is_asked or history.run.is_over:
                continue
            happened = self.world.finished[key] > self.world.transients[key]
            said: Any = "again" if not happened else "failed" if self.world.fails[key] else "succeeded"
            self.world.again[key] += said == "again"
            output = self.world.output(key) if said == "succeeded" else None
            async with self.database.transaction() as session:
                await recording.answer(session, self.run, key, said, output, None)
            with pytest.raises(Conflict):
                async with self.database.transaction() as session:
                    await recording.answer(session, self.run, key, said, output, None)

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert not self.world.wrong, self.world.wrong

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.do(asyncio.wait_for(self._to_the_end(), 50))
            self.nothing_is_wrong()
            self._compare()
        finally:
            for actor in self.actors:
                self.do(actor.kill())

    async def _to_the_end(self) -> None:
        """Whoever lives goes on, and everything is seen to."""
        for actor in self.actors:
            actor.gate.free = True
            await actor.gate.allow(0)
        with contextlib.suppress(Conflict):  # it is over
            await self._in_transaction(lambda session: holding.resume(session, self.run))
        while not (row := await self._read()).is_over:
            await self._keep()
            await self._answer()
            if row.engine == TEMPORAL and row.state == WAITING:
                name = start_id(str(self.run), row.epoch)
                if name not in self.started:
                    self.started[name] = Started(row.epoch, await self._free(row.epoch))
            elif row.state == HANDING_OVER:
                await self._execute("UPDATE flow_runs SET lease_until = NULL")
                await self._in_transaction(lambda session: holding.complete_hand_over(session, self.run, row.epoch))
            elif row.engine == LOCAL and all(each.is_over for each in self.actors):
                await self._execute("UPDATE flow_runs SET lease_until = NULL")
                await self._free(None)
            elif row.engine == TEMPORAL and self.started[start_id(str(self.run), row.epoch)].actor.is_over:
                with contextlib.suppress(LeaseLost):  # it has just come to its end
                    await self._in_transaction(
                        lambda session: holding.take_back(session, self.run, row.epoch, is_lost=True)
                    )
            await asyncio.sleep(0.01)

    async def _keep(self) -> None:
        for actor in [each for each in self.actors if not each.is_over]:
            await actor.keep()

    async def _free(self, epoch: int | None) -> Actor:
        actor = await self._actor(epoch)
        actor.gate.free = True
        await actor.gate.allow(0)
        self.actors.append(actor)
        return actor

    def _compare(self) -> None:
        """With the scheduler alone. Where a failure ends the run, which steps begin before it depends on the order."""

        async def read() -> Any:
            async with self.database.transaction() as session:
                return await histories.history_of(session, self.run)

        history = self.do(read())
        ended = [each.key for each in history.changes if isinstance(each, Ended)]
        assert len(ended) == len(set(ended))
        left = {each.key for each in history.changes if isinstance(each, LeftUnknown)}
        assert {key for key, each in history.results.items() if each.state == "unknown"} == left
        assert not left or history.run.cancel_asked
        over = [each for key, each in history.results.items() if key not in left]
        assert {each.state for each in over} <= {"succeeded", "failed", "cancelled"}
        assert history.run.cancel_asked or history.run.state != "cancelled"
        progress = Progress(self.definition, {}, {})
        for change in history.changes:
            progress.told(change)
        assert progress.outcome == Status(history.run.state)
        for key in self.world.finished:
            assert key in history.results
        for key, result in history.results.items():
            if result.state == "succeeded" and self.definition.flow.steps[key.step].kind != "sleep":
                assert result.output == self.world.output(key)
                assert self.world.finished[key] > self.world.transients[key]
        self._compare_undone(history)
        alone = expected(self.definition, self.world)
        if self.definition.flow.on_failure.policy == "continue" and not history.run.cancel_asked:
            assert {name: alone.status(name) for name in self.definition.flow.steps} == {
                name: progress.status(name) for name in self.definition.flow.steps
            }
            assert alone.outcome == progress.outcome
            told = {name: (each["status"], each["output"]) for name, each in progress.known.steps.items()}
            wanted = {name: (each["status"], each["output"]) for name, each in alone.known.steps.items()}
            assert told == wanted

    def _compare_undone(self, history: History) -> None:
        """What succeeded is undone once, the latest end first, where that is wanted."""
        told = next((each for each in history.changes if isinstance(each, CancelTold)), None)
        failed = history.run.state == "failed" and self.definition.flow.on_failure.compensate
        wanted = history.run.state == "cancelled" and told is not None and told.compensate
        steps = self.definition.flow.steps
        done = [
            each.key
            for each in history.changes
            if isinstance(each, Ended) and each.status is Status.SUCCEEDED and not each.key.undoes
            if steps[each.key.step].compensate is not None
        ]
        undone = [each.key for each in history.changes if isinstance(each, Began) and each.key.undoes]
        expected = [ResultKey(key.step, key.item, undoes=True) for key in reversed(done)]
        assert undone == (expected if failed or wanted else []), history.run.state

    async def _read(self) -> RunRecord:
        async with self.database.reading() as session:
            return await histories.run_of(session, self.run)

    async def _execute(self, statement: str) -> None:
        async with self.database.transaction() as session:
            await session.execute(text(statement))

    async def _in_transaction(self, what: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
        async with self.database.transaction() as session:
            return await what(session)

    def _alive(self, which: int) -> Actor | None:
        alive = [each for each in self.actors if not each.is_over]
        return alive[which % len(alive)] if alive else None


@pytest.fixture
def url(stores: Stores) -> Iterator[str]:
    found = new_database(stores)
    upgrade(found)
    yield found
    drop_database(stores, found)


def test_engines_that_die_wake_up_late_and_lose_replies(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "AGAIN_SECONDS", 0.0)
    with loop_beside() as loop:

        async def opened() -> Database:
            return Database(url, pool_timeout=30)

        database = asyncio.run_coroutine_threadsafe(opened(), loop).result(10)
        try:
            known = {"url": url, "database": database, "loop": loop}
            run_machine(Engines, known, examples=EXAMPLES, steps=30)
        finally:
            asyncio.run_coroutine_threadsafe(database.close(), loop).result(10)
