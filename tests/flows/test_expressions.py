"""Expressions: what they refer to, what they are given, and that nothing which they do harms anybody."""

import os
import signal
import time

import pytest

from pavo.flows.expressions.context import context_of
from pavo.flows.expressions.evaluating import Evaluation, Evaluator
from pavo.flows.expressions.references import ExpressionTooLarge, bound_names, references
from pavo.flows.expressions.templates import Expression, UnclosedExpression, expression_of, template_of


def referred(source: str) -> list[str]:
    return [each.text for each in references(source)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("steps.a.output.orders.map(x, x.id + inputs.b).size() > 2", ["steps.a.output.orders", "inputs.b"]),
        ("inputs['c d'].e[0].f", ["inputs.c d.e[0].f"]),
        ("steps[inputs.name].output", ["steps", "inputs.name"]),
        ("has(steps.a.output.z) ? int(item) : timestamp(run.id)", ["steps.a.output.z", "item", "run.id"]),
        ("'steps.x' + \"inputs.y\" + r'\\' // steps.q", []),
        ("true && null == x.y", ["x.y"]),
        ("{'a': inputs.a, inputs.b: 1}", ["inputs.a", "inputs.b"]),
        ("type(inputs.a) == int", ["inputs.a"]),
        ("inputs.a.startsWith('x') || inputs.a.exists(e, e.f == steps.s.output)", ["inputs.a", "steps.s.output"]),
    ],
)
def test_what_an_expression_refers_to(source: str, found: list[str]) -> None:
    assert referred(source) == found


def test_names_that_macros_bind_are_no_references() -> None:
    assert bound_names("a.filter(x, x.map(y, y).size() > 0)") == {"x", "y"}


@pytest.mark.parametrize(
    "source",
    ["x" * 1001, "(" * 33 + "1" + ")" * 33, "a.map(x, a.map(y, a.map(z, z)))", "[" * 5000],
)
def test_expressions_are_bounded(source: str) -> None:
    with pytest.raises(ExpressionTooLarge):
        references(source)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("",)),
        ("plain }} text {", ("plain }} text {",)),
        ("a ${{ {'x': {'y': 1}} }} b", ("a ", Expression("{'x': {'y': 1}}"), " b")),
        ("${{ '}}' }}${{b}}", (Expression("'}}'"), Expression("b"))),
        ("$${{ x }}", ("${{ x }}",)),
        ("1 $${{ ${{ x }}", ("1 ${{ ", Expression("x"))),
    ],
)
def test_texts_hold_expressions(text: str, parts: tuple[object, ...]) -> None:
    assert template_of(text) == parts


def test_an_expression_without_an_end_is_told() -> None:
    for text in ("${{ a", "x ${{ { }}", "${{ a }", "${{ '}}'"):
        with pytest.raises(UnclosedExpression):
            template_of(text)
    assert expression_of("  ${{ a }} ") == Expression("a") and expression_of("a ${{ b }}") is None


def test_it_is_given_what_it_refers_to_and_nothing_else() -> None:
    values = {
        "inputs": {"a": 1, "secretish": "x"},
        "steps": {"s": {"status": "succeeded", "output": {"big": [1] * 9, "id": 7, "deep": {"x": 1, "y": 2}}}},
    }
    assert context_of(references("steps.s.output.id + inputs.a"), values) == {
        "steps": {"s": {"output": {"id": 7}}},
        "inputs": {"a": 1},
    }
    assert context_of(references("steps.s.output.deep.x + steps.s.output.deep"), values) == {
        "steps": {"s": {"output": {"deep": {"x": 1, "y": 2}}}}
    }
    assert context_of(references("steps.s.output.big[3] + steps.s.output.none.x + other"), values) == {
        "steps": {"s": {"output": {"big": [1] * 9}}}
    }
    assert values["steps"]["s"]["output"]["deep"] == {"x": 1, "y": 2}, "nothing of it is changed"


def value(evaluator: Evaluator, source: str, **context: object) -> object:
    [found] = evaluator.evaluate([Evaluation(source, context)])
    return found.error or found.value


def test_values_are_those_of_json(evaluator: Evaluator) -> None:
    assert value(evaluator, "[1, 1.5, 'x', true, null, {'a': [n]}]", n=3) == [1, 1.5, "x", True, None, {"a": [3]}]
    assert value(evaluator, "timestamp('2026-01-01T00:00:00Z')") == "2026-01-01T00:00:00+00:00"
    assert value(evaluator, "duration('90s')") == "90000ms"
    for source in ("b'x'", "9223372036854775807", "1.0 / 0.0", "{1: 2}"):
        assert "JSON" in str(value(evaluator, source)) or "member" in str(value(evaluator, source))


def test_what_cannot_be_evaluated_says_why(evaluator: Evaluator) -> None:
    for source in ("inputs.x", "1 + 'a'", "1 +", "nothing(1)", "[1][5]"):
        told = str(value(evaluator, source, inputs={"y": 1}))
        assert told and "\n" not in told and len(told) <= 500
    assert evaluator.wrong(["1 + 1", "1 +", "a.b.c"])[::2] == [None, None]


def test_one_that_never_ends_is_ended_and_the_next_is_answered(evaluator: Evaluator) -> None:
    endless = "a.map(x, a.map(y, a.map(z, string(x) + string(y) + string(z)))).size()"
    begun = time.monotonic()
    assert value(evaluator, endless, a=list(range(600))) == "it took longer than 1 s"
    assert time.monotonic() - begun < 20 and value(evaluator, "1 + 1") == 2


def test_a_compiler_that_comes_to_harm_harms_nobody(evaluator: Evaluator) -> None:
    assert isinstance(value(evaluator, "(" * 100_000 + "1" + ")" * 100_000), str)
    assert value(evaluator, "1 + 1") == 2
    assert "bytes" in str(value(evaluator, "s + s", s="x" * 900_000))
    assert value(evaluator, "2") == 2


def test_a_process_that_is_killed_is_followed_by_another() -> None:
    evaluator = Evaluator()
    try:
        assert value(evaluator, "1") == 1
        child = evaluator._process._child  # pyright: ignore[reportPrivateUsage]
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert value(evaluator, "2") == 2
    finally:
        evaluator.close()


def test_it_ends_with_whoever_asks() -> None:
    evaluator = Evaluator()
    assert value(evaluator, "1") == 1
    child = evaluator._process._child  # pyright: ignore[reportPrivateUsage]
    assert child is not None and child.stdin is not None and child.stdout is not None
    child.stdin.close()  # as the system does when that process dies
    assert child.wait(timeout=60) == 0
    child.stdout.close()
