"""Flows that are written in Python are those that files say."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from pavo.errors import InvalidInput
from pavo.flows import Flow, ForEach, Retries, Undo, Way, cel
from pavo.flows.building.parts import Expression, Step
from pavo.flows.definition.definition import definition_of
from pavo.flows.definition.problems import WrongDefinition
from pavo.flows.definition.written import KINDS
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.templates.catalogue import filled, template_named, templates
from tests.flows.test_templates import given
from tests.flows.test_trial import REFUND

OWN = {"if": "condition", "with": "values"}


def rebuilt(value: Mapping[str, Any]) -> Flow:
    """The same flow, by the builder's own methods and classes."""
    about = {name: value[name] for name in ("description", "limits", "on_failure", "fallback") if name in value}
    flow = Flow(value["flow"], **about)
    for name, schema in value.get("inputs", {}).items():
        assert str(flow.input(name, schema)) == f"${{{{ inputs.{name} }}}}"
    for name in value.get("secrets", ()):
        assert flow.secret(name) == {"secret": name}
    if "result" in value:
        flow.result(value["result"], value.get("output"))
    for name, step in value["steps"].items():
        assert added(flow, name, step).id == name
    return flow


def added(flow: Flow, name: str, step: Mapping[str, Any]) -> Step:
    kind = next(each for each in KINDS if each in step)
    options = {OWN.get(each, each): step[each] for each in step if each != kind}
    if "retry" in options:
        options["retry"] = Retries(**options["retry"])
    if "compensate" in options:
        options["compensate"] = Undo(options["compensate"]["tool"], options["compensate"].get("with"))
    if "for_each" in options:
        each = dict(options["for_each"])
        options["for_each"] = ForEach(each.pop("in"), each.pop("max"), each.pop("as", None), **each)
    method: Callable[..., Step] = getattr(flow, {"flow": "child"}.get(kind, kind))
    does: Any = step[kind]
    if kind == "branch":
        return method(name, [Way(each["go"], each.get("when")) for each in does], **options)
    if kind == "wait_for":
        return method(name, **does, **options)
    if kind in ("gate", "http"):
        first = "ask" if kind == "gate" else "url"
        return method(name, does[first], **{each: does[each] for each in does if each != first}, **options)
    return method(name, does, **options)


@pytest.mark.parametrize("name", templates())
def test_each_template_can_be_written_so(evaluator: Evaluator, name: str) -> None:
    template = template_named(name)
    file = definition_of(filled(template, "mine", given(template)).flow, evaluator.wrong)
    built = rebuilt(file.value).definition(evaluator.wrong)
    assert built.hash == file.hash and built.flow == file.flow


def test_so_can_every_kind_of_step(evaluator: Evaluator) -> None:
    text = (
        REFUND
        + """
  page: {http: {url: "https://x.example", method: GET, headers: {a: b}}, timeout: 5s}
  told: {wait_for: {webhook: paid, key: "${{ inputs.ticket }}", expires: 1d}}
  then: {needs: told, until: "2027-01-31T08:00:00+01:00", title: Then}
  work: {job: acme/site, if: false}
"""
    )
    file = definition_of(text, evaluator.wrong)
    assert rebuilt(file.value).definition(evaluator.wrong).hash == file.hash
    assert {step.kind for step in file.flow.steps.values()} >= {"http", "wait_for", "until", "job", "branch", "gate"}


def test_python_says_what_the_file_says(evaluator: Evaluator) -> None:
    flow = Flow("pay", on_failure={"compensate": True})
    order = flow.input("order", {"type": "string"})
    fetch = flow.tool("fetch", "crm.get@2", values={"id": order, "key": flow.secret("CRM_KEY")})
    pause = flow.sleep("pause", timedelta(milliseconds=1_500), needs=fetch)
    rows = fetch.output.orders["a'b"][0]
    each = flow.python(
        "each",
        "pay_one",
        needs=[fetch, pause],
        condition=cel("steps.fetch.output.ok"),
        for_each=ForEach(rows, max=9, name="one"),
        values={"one": cel("one"), "text": f"Order {order}"},
        retry=Retries(max=2, first=timedelta(minutes=1)),
    )
    flow.result({"state": each.status, "all": each.items, "why": each.error})
    text = """
flow: pay
on_failure: {compensate: true}
inputs: {order: {type: string}}
secrets: [CRM_KEY]
result: {state: "${{ steps.each.status }}", all: "${{ steps.each.items }}", why: "${{ steps.each.error }}"}
steps:
  fetch: {tool: crm.get@2, with: {id: "${{ inputs.order }}", key: {secret: CRM_KEY}}}
  pause: {sleep: 1500ms, needs: fetch}
  each:
    python: pay_one
    needs: [fetch, pause]
    if: ${{ steps.fetch.output.ok }}
    for_each: {in: "${{ steps.fetch.output.orders['a\\\\'b'][0] }}", as: one, max: 9}
    with: {one: "${{ one }}", text: "Order ${{ inputs.order }}"}
    retry: {max: 2, first: 60s}
"""
    assert flow.definition().hash == definition_of(text, evaluator.wrong).hash
    assert definition_of(flow.yaml, evaluator.wrong).hash == definition_of(text, evaluator.wrong).hash


def test_misuse_names_the_step(evaluator: Evaluator) -> None:
    flow, other = Flow("one"), Flow("two")
    first = flow.tool("a", "t@1")
    foreign = other.tool("b", "t@1")
    anything: Any = object()
    deep: list[Any] = []
    deep.append(deep)
    wrong = [
        (lambda: flow.tool("a", "t@1"), "steps.a: there is already a step 'a'"),
        (lambda: flow.tool("c", "t@1", needs=foreign), "steps.c: 'b' is a step of two"),
        (lambda: flow.branch("c", [Way([first, foreign])]), "steps.c: 'b' is a step of two"),
        (lambda: flow.tool("c", "t@1", values={"x": anything}), "steps.c: it is not JSON"),
        (lambda: flow.tool("c", "t@1", values={"x": deep}), "steps.c: it is nested deeper"),
        (lambda: flow.tool("c", "t@1", values={"x": "\0"}), "steps.c: it holds a NUL"),
        (lambda: flow.tool("c", "t@1", timeout=timedelta(microseconds=1)), "steps.c: 0:00:00.000001 is no number"),
        (lambda: flow.tool("c", "t@1", **{"wth": {}}), "steps.c: a tool takes no 'wth'"),  # type: ignore[arg-type]
    ]
    for call, told in wrong:
        with pytest.raises(InvalidInput) as error:
            call()
        assert error.value.detail.startswith(told) and error.value.remedy, error.value.detail
    assert list(flow.value["steps"]) == ["a"], "nothing of it is kept"
    with pytest.raises(InvalidInput, match="already an input"):
        for _ in range(2):
            flow.input("x", {})
    for misused in (lambda: bool(first.output), lambda: list(first.output)):
        with pytest.raises(TypeError, match=r"steps\.a\.output"):
            misused()
    flow.tool("d", "t", needs=["a", "gone"], condition=cel("steps.a.outptu"))
    with pytest.raises(WrongDefinition, match=r"steps\.d\.tool: 't' names no version"):
        flow.definition(evaluator.wrong)
    again = Flow("again")
    again.tool("d", "t@1", needs="gone", condition=Expression("inputs.x"))
    with pytest.raises(WrongDefinition) as told:
        again.definition(evaluator.wrong)
    assert [each.path for each in told.value.problems] == [("steps", "d", "needs"), ("steps", "d", "if")]
