"""Runs on the local engine, from the beginning to what they give."""

import asyncio
import uuid

import pytest

from pavo.errors import InvalidInput, NotFound
from pavo.flows.ledger.changes import ResultKey
from pavo.kit.sql import Database
from tests.flows.local.doubles import Local


async def test_a_long_wait_needs_no_engine_and_goes_on_by_the_clock_of_the_ledger(
    local: Local, database: Database
) -> None:
    run = await local.begin("flow: f\nsteps: {a: {sleep: 6s}}")
    going = asyncio.create_task(local.engine.run(run))
    async with asyncio.timeout(30):
        while (await local.history(run)).run.holder is not None or not await local.states(run):
            await asyncio.sleep(0.01)
        assert not going.done()
        found = await going
    assert found.state == "succeeded"
    [result] = (await local.history(run)).results.values()
    assert result.ended_at is not None and (result.ended_at - result.begun_at).total_seconds() >= 6


async def test_wrong_inputs_begin_nothing(local: Local) -> None:
    flow = "flow: f\ninputs: {n: {type: integer}}\nsteps: {a: {tool: echo@1}}"
    for inputs in ({}, {"n": "x"}, {"n": 1, "m": 2}, {"n": 1, "N": "\0"}):
        with pytest.raises(InvalidInput) as wrong:
            await local.begin(flow, inputs)
        assert wrong.value.field is not None and wrong.value.field.startswith("inputs")
    assert await local.service.runs(local.organisation, 10) == []


async def test_another_organisation_sees_nothing_of_a_run(local: Local) -> None:
    found = await local.run("flow: f\nsteps: {a: {tool: echo@1}}")
    stranger = uuid.uuid4()
    with pytest.raises(NotFound):
        await local.service.history(stranger, found.id)
    with pytest.raises(NotFound):
        await local.service.cancel(stranger, found.id, compensate=False)
    with pytest.raises(NotFound):
        await local.service.answer(stranger, found.id, ResultKey("a"), "again", None, stranger)
    assert await local.service.runs(stranger, 10) == []


def test_what_the_local_engine_cannot_do_is_named_with_its_steps(local: Local) -> None:
    request = "d: {http: {url: 'https://x.y', method: POST}}"
    flow = f"flow: f\nsteps: {{a: {{agent: x}}, b: {{tool: echo@2}}, c: {{tool: nothing@1}}, {request}}}"
    assert [name for name, _ in local.steps.unable(local.define(flow))] == ["a", "b", "c", "d"]
