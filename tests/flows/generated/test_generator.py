"""The use case against a scripted server: what the model says is examined, mended, refused, paid for."""

from tests.flows.generated.conftest import FLOW, Writing, said


async def test_a_sentence_becomes_a_flow_that_nobody_has_to_believe(writing: Writing) -> None:
    found = await writing.write(said())
    generated, seen = found.generated, found.generated.examination
    assert (generated.outcome, generated.rounds) == ("proposed", 1) and seen is not None
    assert seen.checked.flow == "tell" and [(case.made_up, case.ok) for case in seen.tried] == [
        (False, True),
        (False, True),
        (True, True),
    ]
    assert [(each.step, each.what, each.effect, each.most) for each in seen.calls] == [
        ("fetch", "crm.get@1", "read", 1),
        ("mail", "mail.send@1", "unsafe", 1),
    ]
    assert seen.cost is not None and seen.cost.most == "0.00 USD"
    assert found.spent.calls == 1 and found.spent.cost > 0
    [request] = writing.script.told()["requests"][-1:]
    told = request["messages"][0]["content"]
    assert '"name":"crm.get","description":"Reads a ticket."' in told and "nightly-report" in told and '"$defs"' in told


async def test_what_is_wrong_is_mended(writing: Writing) -> None:
    wrong = FLOW.replace("crm.get@1", "crm.got@1").replace("needs: fetch", "needs: fetsh")
    found = await writing.write(said(wrong), {"text": "I am sorry."}, said())
    assert (found.generated.outcome, found.generated.rounds, found.spent.calls) == ("proposed", 3, 3)
    [_, second, third] = writing.script.told()["requests"][-3:]
    asked = second["messages"][-1]["content"]
    assert "Did you mean 'crm.get'?" in asked and "there is no step 'fetsh'" in asked and len(second["messages"]) == 4
    assert "there is no flow in it" in third["messages"][-1]["content"] and len(third["messages"]) == 6
