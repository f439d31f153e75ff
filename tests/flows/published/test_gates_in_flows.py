"""Steps that ask people: whoever is asked answers, and what was answered is what the step gives."""

from typing import Any

from tests.driving import until
from tests.flows.published.people import Person
from tests.flows.published.test_runs import over

FLOW = """flow: pays
inputs: {sum: {type: integer}}
result: "${{ steps.pay.status }}"
steps:
  begin: {sleep: 1ms}
  approve:
    needs: begin
    gate:
      {ask: ASKED, question: "Pay ${{ inputs.sum }}?", form: {ok: {type: boolean}}, expires: EXPIRES, on_expiry: skip}
  pay:
    needs: [begin, approve]
    if: ${{ steps.approve.status == 'skipped' || steps.approve.output.ok }}
    sleep: 1ms
"""


def flow(asked: str = "members", expires: str = "1d") -> str:
    return FLOW.replace("ASKED", asked).replace("EXPIRES", expires)


async def asked(person: Person, run: str) -> Any:
    async def found() -> Any:
        page = await person.get("/gates", subject_id=run)
        return page["items"] and page["items"][0]

    return await until(found, what="a gate")


async def begin(person: Person, text: str) -> str:
    run = await person.post("/flow-runs", 201, text=text, inputs={"sum": 7}, engine="temporal")
    return str(run["id"])


async def answer(person: Person, gate: Any, status: int = 200, **said: Any) -> Any:
    return await person.post(f"/gates/{gate['id']}/answer", status, hash=gate["hash"], answer=said)


async def test_what_is_answered_is_what_the_step_gives(person: Person) -> None:
    run = await begin(person, flow())
    gate = await asked(person, run)
    assert gate["text"] == "Pay 7?" and gate["state"] == "open"
    inbox = await person.get("/inbox")
    assert [(each["title"], each["subject_id"]) for each in inbox["items"]] == [("pays", run)]
    await answer(person, gate, 422, ok="yes")
    await answer(person, gate, ok=True)
    found = await over(person, run)
    assert (found["state"], found["result"]) == ("succeeded", "succeeded"), found
    [step] = [each for each in found["steps"] if each["step"] == "approve"]
    assert step["output"]["ok"] is True and "@" in step["output"]["answered_by"]


async def test_what_is_refused_is_not_done(person: Person) -> None:
    run = await begin(person, flow("owners"))
    await answer(person, await asked(person, run), ok=False)
    assert (await over(person, run))["result"] == "skipped"


async def test_others_than_those_who_are_asked_are_refused(person: Person) -> None:
    run = await begin(person, flow("boss@example.com"))
    gate = await asked(person, run)
    await answer(person, gate, 403, ok=True)
    await person.post(f"/flow-runs/{run}/cancel", 200, compensate=False)
    assert (await over(person, run))["state"] == "cancelled"

    async def rests() -> bool:
        return (await person.get(f"/gates/{gate['id']}"))["state"] == "paused"

    await until(rests, what="the gate of a run that is over")


async def test_a_gate_that_nobody_answers_in_time_is_skipped_where_its_step_says_so(person: Person) -> None:
    run = await begin(person, flow(expires="200ms"))
    found = await over(person, run)
    assert (found["state"], found["result"]) == ("succeeded", "succeeded"), found
    assert [each["state"] for each in found["steps"]] == ["succeeded", "skipped", "succeeded"]
