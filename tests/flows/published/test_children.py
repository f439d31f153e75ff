"""Steps that are runs of other flows: each begun once, awaited, and ended with the run that began them."""

from typing import Any

import pytest

from tests.driving import until
from tests.flows.published.people import Person
from tests.flows.published.test_gates_in_flows import answer, asked
from tests.flows.published.test_published import publish
from tests.flows.published.test_runs import over

DOUBLE = """flow: double
inputs: {number: {type: integer}}
result: {twice: "${{ inputs.number * 2 }}"}
steps: {nap: {sleep: 1ms}}
"""
PARENT = """flow: parent
inputs: {numbers: {type: array}}
result: "${{ steps.each.items.map(each, each.output.twice) }}"
steps:
  each:
    for_each: {in: "${{ inputs.numbers }}", as: number, max: 10, parallel: 3}
    flow: double@1
    with: {number: "${{ number }}"}
"""
ASKS = "flow: asks\nsteps: {ask: {gate: {ask: members, question: Go on?}}}"


async def begin(person: Person, text: str, engine: str, **inputs: Any) -> str:
    run = await person.post("/flow-runs", 201, text=text, inputs=inputs, engine=engine)
    return str(run["id"])


@pytest.mark.parametrize("engine", ["temporal", "local"])
async def test_a_step_is_a_run_of_another_flow(person: Person, engine: str) -> None:
    await publish(person, DOUBLE)
    run = await begin(person, PARENT, engine, numbers=[1, 2, 3])
    found = await over(person, run)
    assert (found["state"], found["result"]) == ("succeeded", [2, 4, 6]), found
    children = (await person.get("/flow-runs", flow="double"))["items"]
    named = {(each["parent_id"], each["parent_step"], each["parent_item"], each["engine"]) for each in children}
    assert len(children) == 3 and named == {(run, "each", item, engine) for item in range(3)}
    items = {each["work_id"] for each in found["steps"] if each["item"] is not None and each["work_kind"] == "run"}
    assert items == {each["id"] for each in children}


@pytest.mark.parametrize("engine", ["temporal", "local"])
async def test_a_run_below_is_cancelled_with_the_one_above(person: Person, engine: str) -> None:
    await publish(person, ASKS)
    await publish(person, "flow: between\nsteps: {down: {flow: asks@1}}")
    run = await begin(person, "flow: top\nsteps: {down: {flow: between@1}}", engine)

    async def lowest() -> Any:
        return ((await person.get("/flow-runs", flow="asks"))["items"] or [None])[0]

    below = await until(lowest, what="a run below")
    gate = await asked(person, below["id"])
    await person.post(f"/flow-runs/{run}/cancel", 200, compensate=False)
    assert (await over(person, run))["state"] == "cancelled"
    assert (await over(person, below["id"]))["state"] == "cancelled"

    async def rests() -> bool:
        return (await person.get(f"/gates/{gate['id']}"))["state"] == "paused"

    await until(rests, what="the gate of a run that is over")


async def test_a_gate_below_is_answered_on_the_local_engine(person: Person) -> None:
    await publish(person, ASKS)
    run = await begin(person, "flow: top\nsteps: {down: {flow: asks@1}}", "local")

    async def lowest() -> Any:
        return ((await person.get("/flow-runs", flow="asks"))["items"] or [None])[0]

    below = await until(lowest, what="a run below")
    await answer(person, await asked(person, below["id"]), approved=True)
    assert (await over(person, run))["state"] == "succeeded"


async def test_what_a_run_below_cannot_do_fails_its_step(person: Person) -> None:
    await publish(person, DOUBLE)
    await publish(person, "flow: works\nsteps: {write: {agent: intern, with: {prompt: Write.}}}")
    wrong = await over(person, await begin(person, PARENT, "temporal", numbers=["one"]))
    assert wrong["state"] == "failed" and "number" in wrong["error"], wrong["error"]
    told = await over(person, await begin(person, "flow: top\nsteps: {down: {flow: works@1}}", "local"))
    assert told["state"] == "failed" and "write" in told["error"] and "Temporal" in told["error"], told["error"]
    assert not (await person.get("/flow-runs", flow="works"))["items"]


async def test_flows_of_others_are_unknown(person: Person, other: Person) -> None:
    await publish(other, DOUBLE)
    told = await person.post("/flow-runs", 422, text=PARENT, inputs={"numbers": [1]}, engine="temporal")
    assert "double" in told["detail"], told
