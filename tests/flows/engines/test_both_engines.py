"""Runs on each of the engines, from the beginning to what they give."""

import asyncio
import uuid

import pytest

from pavo.errors import Conflict
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.records import LOCAL, TEMPORAL
from pavo.observe import metrics
from tests.flows.engines.conftest import LONG, Engine
from tests.flows.local.doubles import Called


async def test_a_flow_of_every_kind_that_there_is(engine: Engine, tools: Called) -> None:
    found = await engine.run(
        """
flow: kinds
inputs: {names: {type: array, items: {type: string}}, much: {type: integer, default: 3}}
result: {all: "${{ steps.each.output }}", page: "${{ steps.page.output.body }}", way: "${{ steps.way.output }}"}
steps:
  first: {tool: echo@1, with: {value: {n: "${{ inputs.much }}"}}, output: {type: object, required: [n]}}
  nap: {needs: first, sleep: 50ms}
  then: {needs: nap, until: "2020-01-01T00:00:00Z"}
  way:
    needs: then
    branch: [{when: "${{ steps.first.output.n > 2 }}", go: each}, {else: true, go: never}]
  never: {needs: way, tool: broken@1}
  each:
    needs: way
    for_each: {in: "${{ inputs.names }}", as: name, max: 5, parallel: 2}
    python: echo
    with: {value: "${{ name }} ${{ index }}"}
  page: {needs: each, http: {url: "https://example.com/${{ inputs.much }}"}}
""",
        {"names": ["a", "b", "c"]},
    )
    assert found.state == "succeeded", found.error
    assert found.result == {"all": ["a 0", "b 1", "c 2"], "page": "page of https://example.com/3", "way": ["each"]}
    assert [value for _, value in tools.calls[:1]] == [{"n": 3}]
    assert len(tools.calls) == 4 and tools.most <= 2


async def test_what_may_pass_is_tried_again_and_what_does_not_is_not(engine: Engine, tools: Called) -> None:
    retry = "retry: {max: 3, first: 10ms}"
    found = await engine.run(f"flow: f\nsteps: {{a: {{tool: flaky@1, with: {{times: 2}}, {retry}}}}}")
    assert found.state == "succeeded"
    [result] = (await engine.history(found.id)).results.values()
    assert (result.attempt, result.output) == (3, "there")
    tools.calls.clear()
    found = await engine.run(f"flow: f\nsteps: {{a: {{tool: flaky@1, with: {{times: 9}}, {retry}}}}}")
    assert found.state == "failed" and len(tools.calls) == 3
    tools.calls.clear()
    found = await engine.run(f"flow: f\nsteps: {{a: {{tool: broken@1, {retry}}}}}")
    assert found.state == "failed" and len(tools.calls) == 1
    assert found.error is not None and "ValueError: no" in found.error


async def test_a_time_out_ends_a_step_and_of_an_unsafe_one_people_are_asked(engine: Engine, tools: Called) -> None:
    found = await engine.run("flow: f\nsteps: {a: {tool: slowly@1, timeout: 100ms}}")
    assert found.state == "failed" and found.error is not None and "did not answer within" in found.error
    found = await engine.run("flow: f\nresult: '${{ steps.a.output }}'\nsteps: {a: {tool: hangs@1, timeout: 100ms}}")
    assert found.state == "running" and (found.holder is None) == (engine.name == LOCAL)
    assert await engine.states(found.id) == {"a": "unknown"}
    await engine.service.answer(engine.organisation, found.id, ResultKey("a"), "succeeded", "done", uuid.uuid4())
    found = await engine.go_on(found.id)
    assert (found.state, found.result) == ("succeeded", "done")


async def test_an_output_that_is_not_as_declared_or_too_large_fails_its_step(engine: Engine) -> None:
    found = await engine.run("flow: f\nsteps: {a: {tool: echo@1, with: {value: 7}, output: {type: string}}}")
    assert found.state == "failed" and found.error is not None and "not as declared" in found.error
    large = "x" * 2_000
    flow = f"flow: f\nlimits: {{output_bytes: 1024}}\nsteps: {{a: {{tool: echo@1, with: {{value: {large}}}}}}}"
    found = await engine.run(flow)
    assert found.state == "failed" and found.error is not None and "limits.output_bytes" in found.error


async def test_what_succeeded_is_undone_in_reverse_after_a_failure(engine: Engine, tools: Called) -> None:
    step = "tool: echo@1, compensate: {tool: undo@1, with: {value: '${{ steps.%s.output }}'}}"
    found = await engine.run(
        f"""
flow: f
on_failure: {{compensate: true}}
steps:
  a: {{with: {{value: 1}}, {step % "a"}}}
  b: {{needs: a, with: {{value: 2}}, {step % "b"}}}
  c: {{needs: b, tool: broken@1}}
"""
    )
    assert found.state == "failed"
    assert [value for name, value in tools.calls if name == "undo"] == [2, 1]


async def test_a_run_is_cancelled_while_it_waits_and_when_its_limit_is_over(engine: Engine) -> None:
    run = await engine.begin("flow: f\nsteps: {a: {sleep: 4s}, b: {needs: a, tool: echo@1}}")
    going = asyncio.ensure_future(engine.go_on(run))
    async with asyncio.timeout(30):
        while await engine.states(run) != {"a": "timer"}:
            await asyncio.sleep(0.01)
        await engine.service.cancel(engine.organisation, run, compensate=False)
        assert (await going).state == "cancelled"
    found = await engine.run("flow: f\nlimits: {duration: 300ms}\nsteps: {a: {sleep: 1h}}")
    assert found.state == "cancelled" and found.error is not None and "limit" in found.error


async def test_no_more_is_in_flight_than_the_limit(engine: Engine, tools: Called) -> None:
    steps = ", ".join(f"s{number}: {{tool: echo@1}}" for number in range(20))
    found = await engine.run(f"flow: f\nlimits: {{in_flight: 3}}\nsteps: {{{steps}}}")
    assert found.state == "succeeded"
    assert len(tools.calls) == 20 and tools.most <= 3


async def test_a_step_that_no_engine_does_fails_and_nothing_is_done_in_its_place(engine: Engine) -> None:
    for step in ("http: {url: 'https://example.com', method: POST}", "gate: {ask: owners}", "agent: intern"):
        found = await engine.run(f"flow: f\nsteps: {{a: {{{step}}}}}")
        assert found.state == "failed" and "no engine of this build" in (found.error or ""), found


async def test_nothing_of_a_paused_run_begins_until_it_is_resumed(engine: Engine, tools: Called) -> None:
    flow = """flow: long
steps:
  first: {tool: hangs@1}
  nap: {sleep: 1ms}
  later: {sleep: 2s}
  echo: {needs: [first, nap], tool: echo@1, with: {value: 7}}
"""
    run = await engine.begin(flow)
    going = asyncio.ensure_future(engine.go_on(run))
    try:
        async with asyncio.timeout(LONG):
            await _in_states(engine, run, first="running", nap="succeeded", later="timer")
            await engine.service.pause(engine.organisation, run, "the bank is closed")
            await engine.service.pause(engine.organisation, run, "another reason")
            tools.hold.set()
            record = (await engine.history(run)).run
            assert (record.state, record.is_paused, record.paused_reason) == ("running", True, "the bank is closed")
            await _has_seen_it(engine, run)
            assert "echo" not in await engine.states(run) and tools.calls == []
            await engine.service.resume(engine.organisation, run)
            await engine.service.resume(engine.organisation, run)
            assert (await going).state == "succeeded"
    finally:
        going.cancel()
    assert tools.calls == [("echo", 7)]
    with pytest.raises(Conflict, match="succeeded"):
        await engine.service.pause(engine.organisation, run, "")


async def test_a_paused_run_that_is_cancelled_ends(engine: Engine, tools: Called) -> None:
    flow = "flow: long\nsteps:\n  nap: {sleep: 1h}\n  echo: {needs: nap, tool: echo@1}\n"
    run = await engine.begin(flow)
    await engine.service.pause(engine.organisation, run, "")
    going = asyncio.ensure_future(engine.go_on(run))
    try:
        async with asyncio.timeout(LONG):
            while engine.name == TEMPORAL and (await engine.history(run)).run.holder is None:
                await asyncio.sleep(0.02)  # there is no watch here, which finds what nobody was told
            await engine.service.cancel(engine.organisation, run, compensate=False)
            assert (await going).state == "cancelled"
    finally:
        going.cancel()
    assert tools.calls == []


async def _has_seen_it(engine: Engine, run: uuid.UUID) -> None:
    """The engine has looked since the first step ended: the local one gives the run up, Temporal's notes a timer."""
    while True:
        history = await engine.history(run)
        states = {key.step: each.state for key, each in history.results.items()}
        if states["first"] == "succeeded" and (history.run.holder is None or states["later"] == "succeeded"):
            return
        await asyncio.sleep(0.02)


async def _in_states(engine: Engine, run: uuid.UUID, **wanted: str) -> None:
    while await engine.states(run) != wanted:
        await asyncio.sleep(0.02)


async def test_ends_of_runs_are_counted_once(engine: Engine) -> None:
    def counted() -> dict[str, float]:
        values = metrics.FLOW_RUNS_ENDED.values
        return {outcome: values.get((engine.name, outcome), 0) for outcome in ("succeeded", "failed")}

    before = counted()
    await engine.run("flow: one\nsteps: {echo: {tool: echo@1}}\n")
    await engine.run("flow: two\nsteps: {broken: {tool: broken@1}}\n")
    assert counted() == {outcome: count + 1 for outcome, count in before.items()}
