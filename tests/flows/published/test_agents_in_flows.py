"""Steps that are tasks of agents: begun once, awaited, and ended with their run."""

from typing import Any

from tests.driving import until
from tests.flows.published.people import Person
from tests.flows.published.test_runs import over

FLOW = """flow: asks
inputs: {topic: {type: string}}
result: "${{ steps.write.output.report.size() > 0 }}"
steps:
  nap: {sleep: 1ms}
  write: {needs: nap, agent: intern, with: {prompt: "Write about ${{ inputs.topic }}.", notes: [1, 2]}}
"""


async def tasks(person: Person) -> list[Any]:
    return (await person.get("/tasks"))["items"]


async def test_an_agent_does_a_step_and_its_report_is_what_the_step_gives(person: Person) -> None:
    begun = await person.post("/flow-runs", 201, text=FLOW, inputs={"topic": "ships"}, engine="temporal")
    run = await over(person, begun["id"])
    assert (run["state"], run["result"]) == ("succeeded", True), run
    [task] = await tasks(person)
    assert task["stage"] == "DONE" and task["title"] == "write"
    page = await person.get(f"/flow-runs/{begun['id']}/timeline")
    assert [each["task"] for each in page["items"] if each["type"] == "step_waits"] == [task["id"]]


async def test_a_task_ends_with_the_run_that_has_it_done(person: Person) -> None:
    flow = "flow: slow\nsteps: {write: {agent: intern, with: {prompt: Write., review: true}}}"
    begun = await person.post("/flow-runs", 201, text=flow, inputs={}, engine="temporal")

    async def waits() -> Any:
        found = await tasks(person)
        return found and found[0]["stage"] not in ("INIT", "PLANNING") and found[0]

    await until(waits, what="a task that waits for people")
    await person.post(f"/flow-runs/{begun['id']}/cancel", 200, compensate=False)
    run = await over(person, begun["id"])
    assert run["state"] == "cancelled"

    async def stopped() -> bool:
        return (await tasks(person))[0]["stage"] == "STOPPED"

    await until(stopped, what="the end of the task")


async def test_a_task_that_somebody_stops_fails_its_step(person: Person) -> None:
    flow = "flow: slow\nsteps: {write: {agent: intern, with: {prompt: Write., review: true}}}"
    begun = await person.post("/flow-runs", 201, text=flow, inputs={}, engine="temporal")

    async def begun_task() -> Any:
        found = await tasks(person)
        return found and found[0]["stage"] != "INIT" and found[0]["id"]

    task = await until(begun_task, what="a task")
    await person.post(f"/tasks/{task}/stop", 200)
    run = await over(person, begun["id"])
    assert run["state"] == "failed" and "stopped" in run["error"], run["error"]
