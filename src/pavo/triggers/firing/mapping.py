"""Expressions of triggers: checked when a trigger is made, evaluated when it fires, both as flows do it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pavo.errors import InvalidInput
from pavo.flows.evaluation import CannotEvaluate, Evaluates, Known, filled
from pavo.flows.expressions.evaluating import Evaluated, Evaluation, Evaluator
from pavo.flows.expressions.references import ExpressionTooLarge, references
from pavo.flows.expressions.templates import OPEN, Expression, UnclosedExpression, expression_of, template_of, texts_in
from pavo.kit.json_values import encode
from pavo.kit.threads.calls import call_in_thread
from pavo.triggers.domain import EXPRESSIONS_SECONDS, MAX_EXPRESSIONS, MAX_STARTS_BYTES

ROOTS: Final = ("body", "event")
"""What expressions know."""
_REMEDY: Final = "Take values of `body` and `event`, such as ${{ body.issue.title }}."


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a firing is to start."""

    starts: Mapping[str, Any] | None
    """None: its condition does not hold."""


class TriggerMapping:
    """Over one process that evaluates.

    Args:
        evaluator: closed by whoever built it.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    async def check(self, starts: Mapping[str, Any], condition: str | None) -> None:
        """See whether these expressions can be evaluated at all.

        Raises:
            InvalidInput: one cannot; the field is named.
        """
        found = [(".".join(map(str, ("starts", *path))), text) for path, text in texts_in(dict(starts))]
        expressions = [(field, each) for field, text in found for each in _expressions(field, text)]
        if condition is not None:
            expressions.append(("condition", _condition(condition)))
        if len(expressions) > MAX_EXPRESSIONS:
            told = f"It has {len(expressions)} expressions, and {MAX_EXPRESSIONS} are the most."
            raise InvalidInput(told, field="starts", remedy="Hand over ${{ body }} as a whole.")
        for field, each in expressions:
            _check_references(field, each)
        wrong = await call_in_thread("trigger-check", self._evaluator.wrong, [each.source for _, each in expressions])
        for (field, each), why in zip(expressions, wrong, strict=True):
            if why is not None:
                raise InvalidInput(f"{each.source[:200]}: {why}", field=field[:200], remedy=_REMEDY)

    async def mapped(self, starts: Mapping[str, Any], condition: str | None, values: Mapping[str, Any]) -> Mapped:
        """What is started for a message.

        Args:
            values: by root.

        Raises:
            CannotEvaluate: an expression gives nothing, or too much.
        """
        return await call_in_thread("trigger-map", _mapped, starts, condition, values, self._evaluator)


class _Bounded:
    """An evaluator that has so long for all."""

    def __init__(self, evaluator: Evaluates) -> None:
        self._evaluator, self._until = evaluator, time.monotonic() + EXPRESSIONS_SECONDS

    def evaluate(self, asked: Sequence[Evaluation]) -> list[Evaluated]:
        if time.monotonic() > self._until:
            return [Evaluated(error=f"all together took longer than {EXPRESSIONS_SECONDS:g} s") for _ in asked]
        return self._evaluator.evaluate(asked)


def _mapped(
    starts: Mapping[str, Any], condition: str | None, values: Mapping[str, Any], evaluator: Evaluates
) -> Mapped:
    known, bounded = Known({}, {}, {}), _Bounded(evaluator)
    if condition is not None:
        holds = filled(condition, known, bounded, values)
        if not isinstance(holds, bool):
            raise CannotEvaluate(f"the condition gives {str(holds)[:80]}, and true or false is wanted")
        if not holds:
            return Mapped(None)
    found = cast("dict[str, Any]", filled(starts, known, bounded, values))
    if (size := len(encode(found))) > MAX_STARTS_BYTES:
        raise CannotEvaluate(f"what is to be started has {size:,} bytes then, and {MAX_STARTS_BYTES:,} are the most")
    return Mapped(found)


def has_expression(value: Any) -> bool:
    """Whether a value is known only when a message has come."""
    return any(OPEN in text for _, text in texts_in(value))


def _expressions(field: str, text: str) -> list[Expression]:
    try:
        return [part for part in template_of(text) if isinstance(part, Expression)]
    except UnclosedExpression as error:
        raise InvalidInput(f"{str(error).capitalize()}.", field=field[:200], remedy=_REMEDY) from error


def _condition(text: str) -> Expression:
    try:
        found = expression_of(text)
    except UnclosedExpression:
        found = None
    if found is None:
        remedy = "Write one expression, such as ${{ body.action == 'opened' }}."
        raise InvalidInput("A condition is one expression.", field="condition", remedy=remedy)
    return found


def _check_references(field: str, expression: Expression) -> None:
    try:
        strangers = [each.text for each in references(expression.source) if each.root not in ROOTS]
    except ExpressionTooLarge as error:
        raise InvalidInput(f"{str(error).capitalize()}.", field=field[:200], remedy="Write less.") from error
    if strangers:
        told = f"{expression.source[:200]}: there is no {strangers[0][:100]} here."
        raise InvalidInput(told, field=field[:200], remedy=_REMEDY)
