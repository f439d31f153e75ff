"""A worker's share in runs of the local engine: which it takes, how many, and how it ends."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import event, text

from pavo.flows.driving import Publish, unheard
from pavo.flows.evaluation import Evaluates
from pavo.flows.expressions.evaluating import Evaluated, Evaluation, Evaluator
from pavo.flows.ledger import holding, recording
from pavo.flows.ledger.changes import Began, ResultKey
from pavo.flows.local import serving
from pavo.flows.local.engine import LOOK_SECONDS, LocalEngine
from pavo.flows.local.serving import LocalServer
from pavo.flows.local.wiring import Looking
from pavo.kit.sql import Database
from pavo.timeline.domain import Event
from tests.driving import until
from tests.flows.local.doubles import Called, Local


@asynccontextmanager
async def served(
    local: Local, database: Database, evaluator: Evaluates, publish: Publish = unheard
) -> AsyncIterator[None]:
    engine = LocalEngine(database, local.steps, evaluator, publish=publish)
    found = LocalServer(database, engine, Looking(database, local.steps))
    found.start()
    try:
        yield
    finally:
        await found.close()


async def are_over(local: Local, *runs: uuid.UUID) -> bool:
    return all([(await local.history(run)).run.is_over for run in runs])


async def are(local: Local, run: uuid.UUID, states: dict[str, str]) -> bool:
    return await local.states(run) == states


async def test_whatever_waits_is_executed(
    local: Local, tools: Called, database: Database, evaluator: Evaluator
) -> None:
    runs = [await local.begin("flow: f\nsteps: {a: {tool: echo@1}, b: {needs: a, sleep: 10ms}}") for _ in range(5)]
    async with served(local, database, evaluator):
        await until(lambda: are_over(local, *runs))
        later = await local.begin("flow: f\nsteps: {a: {tool: echo@1}}")
        await until(lambda: are_over(local, later))
    assert {(await local.history(run)).run.state for run in (*runs, later)} == {"succeeded"}
    assert len(tools.calls) == 6


async def test_what_it_cannot_do_is_left_alone_and_holds_up_nobody(
    local: Local, database: Database, evaluator: Evaluator
) -> None:
    left = await local.begin("flow: f\nsteps: {a: {tool: echo@1}, b: {tool: nothing@1}}")
    run = await local.begin("flow: f\nsteps: {a: {tool: echo@1}}")
    async with served(local, database, evaluator):
        await until(lambda: are_over(local, run))
    found = (await local.history(left)).run
    assert (found.state, found.epoch, found.holder) == ("waiting", 0, None)


async def test_so_many_at_once(
    local: Local, tools: Called, database: Database, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "AT_ONCE", 2)
    runs = [await local.begin("flow: f\nsteps: {a: {tool: hangs@1}}") for _ in range(4)]
    first = await local.begin("flow: f\nsteps: {a: {sleep: 1h}}")

    async def held() -> int:
        found = [(await local.history(run)).run.holder for run in runs]
        return sum(each is not None for each in found)

    async def two_are() -> bool:
        return await held() == 2

    async with served(local, database, evaluator):
        await until(two_are)
        assert (await local.history(first)).run.epoch == 0
        assert await held() == 2
        tools.hold.set()
        await until(lambda: are_over(local, *runs))


async def test_when_it_ends_what_is_in_flight_comes_to_its_end_and_others_go_on_at_once(
    local: Local, tools: Called, database: Database, evaluator: Evaluator
) -> None:
    run = await local.begin("flow: f\nsteps: {a: {tool: hangs@1}, b: {needs: a, tool: echo@1}}")
    async with served(local, database, evaluator):
        await until(lambda: are(local, run, {"a": "running"}))
        asyncio.get_running_loop().call_later(0.3, tools.hold.set)
    assert await local.states(run) == {"a": "succeeded"}
    found = (await local.history(run)).run
    assert (found.state, found.holder, found.wakes_in) == ("running", None, 0.0)
    assert (await asyncio.wait_for(local.engine.run(run), 60)).state == "succeeded"


async def test_what_does_not_end_in_time_is_given_up(
    local: Local, database: Database, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "GRACE_SECONDS", 0.1)
    run = await local.begin("flow: f\nsteps: {a: {tool: slowly@1}, b: {tool: hangs@1}}")
    async with served(local, database, evaluator):
        await until(lambda: are(local, run, {"a": "running", "b": "running"}))
    found = (await local.history(run)).run
    assert (found.state, found.holder) == ("running", None)
    other = asyncio.create_task(local.engine.run(run))
    try:
        await until(lambda: are(local, run, {"a": "running", "b": "unknown"}))
        assert (await local.history(run)).results[ResultKey("a")].attempt == 2
    finally:
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
    assert (await local.history(run)).run.holder is None


async def test_when_nothing_waits_it_asks_one_thing_each_half_second(
    local: Local, environment: dict[str, str], evaluator: Evaluator
) -> None:
    waits = await local.begin("flow: f\nsteps: {a: {sleep: 1h}}")
    own, statements = Database(environment["DATABASE_URL"]), list[str]()

    async def is_given_up() -> bool:
        found = (await local.history(waits)).run
        return found.epoch > 0 and found.holder is None

    async def have_been_asked() -> bool:
        return len(statements) >= 4

    event.listen(own.engine.sync_engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    try:
        async with served(local, own, evaluator):
            await until(is_given_up)
            await until(have_been_asked)
            began = time.monotonic()
            statements.clear()
            await until(have_been_asked)
            assert time.monotonic() - began >= 3 * LOOK_SECONDS * 0.9
            assert len(set(statements)) == 1 and "SELECT organisation_id, hash" in statements[0]
    finally:
        await own.close()


class Poisoned:
    """Fails in a way that nobody foresaw, so often."""

    def __init__(self, evaluator: Evaluator, times: int) -> None:
        self.evaluator, self.times, self.failed = evaluator, times, 0

    def evaluate(self, asked: Sequence[Evaluation]) -> list[Evaluated]:
        if self.failed < self.times:
            self.failed += 1
            raise RuntimeError("nobody foresaw this \0")
        return self.evaluator.evaluate(asked)


ASKS = "flow: f\nsteps: {a: {tool: echo@1}, b: {needs: a, if: '${{ true }}', tool: echo@1}}"


@pytest.mark.parametrize(("times", "state"), [(99, "failed"), (4, "succeeded")])
async def test_what_fails_again_and_again_for_no_reason_of_its_own_has_failed(
    local: Local, database: Database, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, times: int, state: str
) -> None:
    monkeypatch.setattr(holding, "FIRST_PAUSE_SECONDS", 0.01)
    run, poisoned, told = await local.begin(ASKS), Poisoned(evaluator, times), list[Event]()
    async with served(local, database, poisoned, told.extend):
        await until(lambda: are_over(local, run))
    assert [each.type for each in told][:2] == ["step_started", "step_ended"]
    assert (told[-1].type, told[-1].data["outcome"]) == ("run_ended", state)
    found = (await local.history(run)).run
    assert (found.state, poisoned.failed) == (state, min(times, holding.FAILURES))
    if state == "failed":
        assert found.error is not None and "failed 5 times" in found.error and "nobody foresaw this" in found.error


async def test_a_version_that_cannot_be_read_fails_its_runs_and_no_others(
    local: Local, database: Database, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "FIRST_PAUSE_SECONDS", 0.01)
    run = await local.begin("flow: f\nsteps: {a: {tool: hangs@1}}")
    other = await local.begin(ASKS)
    async with database.transaction() as session:
        hold = await holding.claim(session, "dead", 3_600.0, run)
        assert hold is not None
        await recording.commit(session, hold, 0, [Began(ResultKey("a"), repeatable=False)])
        spoil = "UPDATE flow_versions SET definition = '{\"flow\": 7}' FROM flow_runs WHERE flow_runs.id = :run"
        await session.execute(text(f"{spoil} AND flow_versions.hash = flow_runs.hash"), {"run": run})
        await session.execute(text("UPDATE flow_runs SET lease_until = NULL WHERE id = :run"), {"run": run})

    async def has_failed() -> bool:
        async with database.reading() as session:
            found = await session.scalars(text("SELECT state FROM flow_runs WHERE id = :run"), {"run": run})
        return found.one() == "failed"

    async with served(local, database, evaluator):
        await until(lambda: are_over(local, other))
        await until(has_failed)
    async with database.reading() as session:
        query = text("SELECT state, ended_at FROM flow_results WHERE run_id = :run")
        [(state, ended_at)] = (await session.execute(query, {"run": run})).all()
    assert state == "unknown" and ended_at is not None
