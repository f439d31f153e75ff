"""Runs that have failed and that people have go on, on each of the engines."""

import uuid

import pytest

from pavo.errors import Conflict, InvalidInput, NotFound
from pavo.flows.correcting.service import Asked, Correction, RunCorrections
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.records import RunRecord
from pavo.kit.sql import Database
from tests.flows.engines.conftest import Engine
from tests.flows.local.doubles import Called

FLOW = """
flow: f
result: "${{ steps.last.output }}"
steps:
  first: {tool: echo@1, with: {value: 1}}
  bad: {needs: first, tool: broken@1, output: {type: object, required: [n]}}
  after: {needs: bad, tool: echo@1, with: {value: "${{ steps.bad.output.n }}"}}
  last: {needs: [after, first], join: any_success, tool: echo@1, with: {value: "${{ steps.after.status }}"}}
"""


@pytest.fixture
def corrections(database: Database, engine: Engine) -> RunCorrections:
    return RunCorrections(database, engine.hurry)


async def _corrected(engine: Engine, corrections: RunCorrections, run: uuid.UUID, *each: Correction) -> RunRecord:
    await corrections.correct(engine.organisation, run, Asked(each, "why", "ann@example.com", again=True))
    return await engine.go_on(run)


async def test_an_output_that_is_set_is_what_dependants_see(
    engine: Engine, corrections: RunCorrections, tools: Called
) -> None:
    found = await engine.run(FLOW)
    assert found.state == "failed"
    with pytest.raises(InvalidInput) as wrong:
        await _corrected(engine, corrections, found.id, Correction("bad", "set", {"m": 7}))
    assert wrong.value.field == "output"
    after = await _corrected(engine, corrections, found.id, Correction("bad", "set", {"n": 7}))
    assert (after.state, after.result, after.epoch > found.epoch) == ("succeeded", "succeeded", True)
    assert [value for name, value in tools.calls if name == "echo"] == [1, 7, "succeeded"]
    with pytest.raises(Conflict):
        await _corrected(engine, corrections, found.id, Correction("bad", "set", {"n": 8}))


async def test_a_step_that_is_skipped_is_no_success(engine: Engine, corrections: RunCorrections, tools: Called) -> None:
    found = await engine.run(FLOW)
    with pytest.raises(Conflict, match="not failed"):
        await _corrected(engine, corrections, found.id, Correction("first", "skip"))
    after = await _corrected(engine, corrections, found.id, Correction("bad", "skip"))
    assert (after.state, after.result) == ("succeeded", "skipped")
    assert [value for name, value in tools.calls if name == "echo"] == [1, "skipped"]


async def test_from_a_step_on_all_is_done_again_and_nothing_else(
    engine: Engine, corrections: RunCorrections, tools: Called
) -> None:
    found = await engine.run(FLOW)
    for _ in range(2):
        after = await _corrected(engine, corrections, found.id, Correction("bad", "retry"))
        assert after.state == "failed" and after.error is not None and "ValueError: no" in after.error
    assert [name for name, _ in tools.calls].count("broken") == 3
    assert [value for name, value in tools.calls if name == "echo"] == [1]


async def test_what_cannot_be_corrected_is_refused_and_changes_nothing(
    engine: Engine, corrections: RunCorrections
) -> None:
    found = await engine.run("flow: f\nsteps: {a: {tool: broken@1}, b: {tool: broken@1}, c: {sleep: 1ms}}")
    before = await engine.history(found.id)
    with pytest.raises(NotFound):
        await corrections.correct(uuid.uuid4(), found.id, Asked([Correction("a", "retry")], "", None))
    for wrong, match in (("a", "failed as well"), ("x", "no step")):
        with pytest.raises((Conflict, InvalidInput), match=match):
            await _corrected(engine, corrections, found.id, Correction(wrong, "retry"))
    after = await engine.history(found.id)
    assert (after.changes, after.results, after.run.seq) == (before.changes, before.results, before.run.seq)
    both = (Correction("a", "skip"), Correction("b", "set", 1))
    assert (await _corrected(engine, corrections, found.id, *both)).state == "succeeded"


async def test_what_must_not_be_repeated_is_repeated_only_if_somebody_confirms_it(
    engine: Engine, corrections: RunCorrections, tools: Called
) -> None:
    found = await engine.run("flow: f\nsteps: {a: {tool: slowly@1, timeout: 100ms}}")
    history = await engine.history(found.id)
    assert all(each.repeatable for each in history.results.values())
    found = await engine.run("flow: f\nsteps: {a: {tool: hangs@1, timeout: 100ms}}")
    await engine.service.answer(engine.organisation, found.id, ResultKey("a"), "failed", None, None)
    assert (await engine.go_on(found.id)).state == "failed"
    with pytest.raises(Conflict) as refused:
        await corrections.correct(engine.organisation, found.id, Asked([Correction("a", "retry")], "", None))
    assert refused.value.field == "again"
    await corrections.correct(engine.organisation, found.id, Asked([Correction("a", "retry")], "", None, again=True))
    assert (await engine.go_on(found.id)).state == "running"
    assert await engine.states(found.id) == {"a": "unknown"}
