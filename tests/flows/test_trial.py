"""A flow as its author tries it, and the pains of users of such systems: each rule by an example."""

from typing import Any

from pavo.flows.scheduler import CONDITION, DEAD, NEED_FAILED, RUN_FAILED, Status
from pavo.flows.trial import Fake, Tried
from tests.flows.conftest import Try

REFUND = """
flow: refund
inputs: {ticket: {type: string}, limit: {type: integer, default: 100}}
secrets: [crm_key]
limits: {in_flight: 32, duration: 7d}
on_failure: {policy: drain, compensate: true}
result: ${{ steps.report.output.url }}
output: {type: string}
steps:
  fetch:
    tool: crm.get@2
    with: {id: "${{ inputs.ticket }}", key: {secret: crm_key}}
    retry: {max: 4, first: 2s, factor: 2, only: [transient]}
    timeout: 30s
    output:
      type: object
      required: [orders]
      properties: {orders: {type: array, items: {type: object, properties: {id: {type: string}}}}}
  judge:
    needs: [fetch]
    agent: refund-judge
    with: {prompt: "Judge ${{ steps.fetch.output.orders }} of ${{ inputs.ticket }}"}
    output: {type: object, required: [ok, sum], properties: {ok: {type: boolean}, sum: {type: integer}}}
  route:
    needs: [judge]
    branch:
      - {when: "${{ !steps.judge.output.ok }}", go: refuse}
      - {when: "${{ steps.judge.output.sum > inputs.limit }}", go: approve}
      - {else: true, go: pay}
  refuse: {needs: [route], tool: mail.send@1, with: {to: customer}}
  approve:
    needs: [route]
    gate: {ask: owners, form: {approved: {type: boolean}}, expires: 2d}
  pay:
    needs: [route, approve]
    join: any_success
    if: ${{ steps.approve.status == 'skipped' || steps.approve.output.approved }}
    for_each: {in: "${{ steps.fetch.output.orders }}", as: order, parallel: 5, max: 500, on_item_failure: stop}
    flow: pay-one@3
    with: {order: "${{ order.id }}", number: "${{ index }}"}
    compensate: {tool: pay.reverse@1, with: {order: "${{ order.id }}"}}
  settle: {needs: [pay], sleep: 1h}
  report:
    needs: [settle, refuse]
    join: all_done
    tool: docs.write@1
    with: {paid: "${{ steps.pay.items }}"}
    output: {type: object, properties: {url: {type: string}}}
"""
ORDERS = Fake({"orders": [{"id": "a"}, {"id": "b"}]})
WRITTEN = Fake({"url": "https://docs.example/1"})


def judged(ok: bool, sum: int) -> Fake:
    return Fake({"ok": ok, "sum": sum})


def statuses(tried: Tried) -> dict[str, str]:
    return {name: str(each["status"]) for name, each in tried.known.steps.items()}


def test_a_diamond_goes_on_where_one_of_its_ways_is_not_taken(tried: Try) -> None:
    found = tried(REFUND, {"ticket": "T1"}, fetch=ORDERS, judge=judged(True, 50), report=WRITTEN)
    assert found.outcome is Status.SUCCEEDED and found.result == "https://docs.example/1"
    assert statuses(found) == {
        **dict.fromkeys(("fetch", "judge", "route", "pay", "settle", "report"), "succeeded"),
        **dict.fromkeys(("refuse", "approve"), "skipped"),
    }
    assert found.reasons == {"refuse": DEAD, "approve": DEAD}
    given = {(call.step, call.item): call.given for call in found.calls}
    assert given["fetch", None]["with"] == {"id": "T1", "key": {"secret": "crm_key"}}
    assert given["judge", None]["with"]["prompt"] == 'Judge [{"id":"a"},{"id":"b"}] of T1'
    assert given["pay", 1]["with"] == {"order": "b", "number": 1}
    assert [each["status"] for each in given["report", None]["with"]["paid"]] == ["succeeded", "succeeded"]


def test_people_are_asked_where_a_branch_leads_to_them(tried: Try) -> None:
    given: dict[str, Any] = {"fetch": ORDERS, "judge": judged(True, 500), "report": WRITTEN}
    found = tried(REFUND, {"ticket": "T1"}, **given, approve=Fake({"approved": True}))
    assert statuses(found)["pay"] == "succeeded"
    found = tried(REFUND, {"ticket": "T1"}, **given, approve=Fake({"approved": False}))
    assert statuses(found)["pay"] == "skipped" and found.reasons["pay"] == CONDITION
    assert statuses(found)["settle"] == "skipped" == statuses(found)["report"]
    assert found.outcome is Status.FAILED and "steps.report.output.url" in (found.error or "")


def test_a_skipped_loop_is_no_success(tried: Try) -> None:
    flow = """
flow: loop
inputs: {wanted: {type: boolean}}
steps:
  all: {if: "${{ inputs.wanted }}", for_each: {in: "${{ [1, 2] }}", max: 5}, tool: t@1}
  then: {needs: [all], tool: t@1}
  ever: {needs: [all, then], join: any_success, tool: t@1}
"""
    assert statuses(tried(flow, {"wanted": False})) == dict.fromkeys(("all", "then", "ever"), "skipped")
    found = tried(flow, {"wanted": True})
    assert set(statuses(found).values()) == {"succeeded"} and found.known.steps["all"]["output"] == [None, None]


def test_an_empty_list_succeeds_and_a_long_one_fails(tried: Try) -> None:
    flow = """
flow: loop
inputs: {list: {type: array}}
steps:
  all: {for_each: {in: "${{ inputs.list }}", max: 2, parallel: 2}, tool: t@1}
  then: {needs: [all], tool: t@1, with: {n: "${{ size(steps.all.items) }}"}}
"""
    found = tried(flow, {"list": []})
    assert found.known.steps["all"] == {"status": "succeeded", "output": [], "error": None, "items": []}
    assert found.calls[-1].given["with"] == {"n": 0}
    found = tried(flow, {"list": [1, 2, 3]})
    assert found.outcome is Status.FAILED and "3 items" in found.reasons["all"]
    assert found.reasons["then"] == NEED_FAILED


def test_inputs_are_not_evaluated_where_the_condition_does_not_hold(tried: Try) -> None:
    flow = """
flow: guarded
inputs: {order: {type: object}}
steps:
  pay: {if: "${{ has(inputs.order.id) }}", tool: t@1, with: {id: "${{ inputs.order.id }}"}}
"""
    found = tried(flow, {"order": {}})
    assert found.outcome is Status.SUCCEEDED and found.reasons == {"pay": CONDITION} and found.calls == []
    assert tried(flow, {"order": {"id": 7}}).calls[0].given["with"] == {"id": 7}


FAILING = """
flow: failing
on_failure: {{policy: {policy}, compensate: true}}
steps:
  one: {{tool: t@1, compensate: {{tool: u@1, with: {{what: "${{{{ steps.one.output }}}}"}}}}}}
  two: {{needs: [one], tool: t@1, compensate: {{tool: u@1, with: {{what: two}}}}}}
  bad: {{needs: [two], tool: t@1}}
  after: {{needs: [bad], tool: t@1}}
  beside: {{needs: [two], tool: t@1}}
  later: {{needs: [beside], tool: t@1}}
  last: {{needs: [bad, later], join: all_done, tool: t@1}}
"""


def test_what_succeeded_is_undone_the_last_one_first(tried: Try) -> None:
    found = tried(FAILING.format(policy="drain"), one=Fake(1), bad=Fake(error="no money"))
    assert found.outcome is Status.FAILED and found.reasons["bad"] == "no money"
    undone = [(call.step, call.given["what"]) for call in found.calls if call.undoes]
    assert undone == [("two", "two"), ("one", 1)]
    assert found.reasons["after"] == NEED_FAILED and found.reasons["later"] == RUN_FAILED
    assert statuses(found)["last"] == "succeeded", "what joins all_done sees a failure"


def test_a_flow_that_continues_does_what_does_not_need_the_failed_step(tried: Try) -> None:
    found = tried(FAILING.format(policy="continue"), one=Fake(1), bad=Fake(error="no money"))
    assert found.outcome is Status.FAILED
    assert [statuses(found)[each] for each in ("after", "beside", "later", "last")] == ["skipped", *["succeeded"] * 3]


def test_items_are_collected_or_stop_at_the_first_failure(tried: Try) -> None:
    flow = """
flow: items
on_failure: {{compensate: true}}
steps:
  all:
    for_each: {{in: "${{{{ [10, 20, 30] }}}}", max: 3, on_item_failure: {how}}}
    tool: t@1
    compensate: {{tool: u@1, with: {{n: "${{{{ item }}}}"}}}}
  bad: {{needs: [all], join: all_done, tool: t@1}}
"""
    items = Fake(items=(Fake("a"), Fake(error="broken"), Fake("c")))
    found = tried(flow.format(how="collect"), all=items, bad=Fake(error="too bad"))
    assert [each["status"] for each in found.known.steps["all"]["items"]] == ["succeeded", "failed", "succeeded"]
    assert found.known.steps["all"]["output"] == ["a", None, "c"] and statuses(found)["all"] == "succeeded"
    assert [call.given["n"] for call in found.calls if call.undoes] == [30, 10]
    found = tried(flow.format(how="stop"), all=items)
    assert [each["status"] for each in found.known.steps["all"]["items"]] == ["succeeded", "failed"]
    assert statuses(found)["all"] == "failed" and found.reasons["all"] == "broken"
    assert [call.given["n"] for call in found.calls if call.undoes] == [10]


def test_outputs_are_as_declared_or_the_step_fails(tried: Try) -> None:
    flow = (
        "{flow: f, result: '${{ steps.a.output.n }}', steps: {a: {tool: t@1, output: {type: object, required: [n]}}}}"
    )
    found = tried(flow, a=Fake({"m": 1}))
    assert found.outcome is Status.FAILED and "'n' is a required property" in found.reasons["a"]
    assert tried(flow, a=Fake({"n": [1]})).result == [1]


def test_a_condition_that_is_neither_true_nor_false_fails_the_step(tried: Try) -> None:
    found = tried("{flow: f, steps: {a: {tool: t@1, if: '${{ 1 + 1 }}'}}}")
    assert found.outcome is Status.FAILED and "gives 2, and true or false is wanted" in found.reasons["a"]


def test_an_expression_that_never_ends_fails_its_step_alone(tried: Try) -> None:
    rounds = "steps.list.output.map(x, steps.list.output.map(y, x + y)).size()"
    flow = f"""
flow: endless
on_failure: {{policy: continue}}
steps:
  list: {{tool: t@1}}
  endless: {{needs: [list], tool: t@1, with: {{n: "${{{{ {rounds} + {rounds} }}}}"}}}}
  other: {{needs: [list], tool: t@1, with: {{n: "${{{{ size(steps.list.output) }}}}"}}}}
"""
    found = tried(flow, list=Fake(list(range(4000))))
    assert "took longer" in found.reasons["endless"] or "memory" in found.reasons["endless"]
    assert found.calls[-1].given["with"] == {"n": 4000}
