"""What a run's expressions say, given what its steps have brought: decisions, and the values that a step is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from pavo.flows.definition.definition import Definition
from pavo.flows.definition.written import WrittenStep
from pavo.flows.expressions.context import context_of
from pavo.flows.expressions.evaluating import Evaluated, Evaluation
from pavo.flows.expressions.references import references
from pavo.flows.expressions.templates import OPEN, Expression, expression_of, template_of, texts_in
from pavo.flows.scheduler import Decision, Status
from pavo.kit.json_values import encode_text

SECRET: Final = "secret"
"""The one member of a reference to a secret; it stays as it is until the step is done."""


class Evaluates(Protocol):
    """See `expressions.evaluating.Evaluator`; calls block."""

    def evaluate(self, asked: Sequence[Evaluation]) -> list[Evaluated]: ...


class CannotEvaluate(ValueError):
    """An expression gives nothing, or something else than is wanted; `str()` tells which and why."""


@dataclass(slots=True)
class Known:
    """What expressions of a run know."""

    inputs: Mapping[str, Any]
    run: Mapping[str, Any]
    steps: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """By id: `status`, `output`, `error`, and `items` of one that is done for each item."""

    @classmethod
    def at_the_beginning(cls, definition: Definition, inputs: Mapping[str, Any], run: Mapping[str, Any]) -> "Known":
        """Of a run in which nothing has happened; inputs that lack have their defaults."""
        declared = definition.flow.inputs
        defaults = {name: schema["default"] for name, schema in declared.items() if "default" in schema}
        steps: dict[str, dict[str, Any]] = {
            name: {"status": str(Status.WAITING), "output": None, "error": None} for name in definition.flow.steps
        }
        return cls({**dict.fromkeys(declared), **defaults, **inputs}, run, steps)

    def values(self, item: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """By the name of the root."""
        return {"inputs": self.inputs, "run": self.run, "steps": self.steps, **(item or {})}


def item_values(step: WrittenStep, index: int, item: Any) -> Mapping[str, Any]:
    """What the expressions of a step know of the item that it is done for."""
    return {step.for_each.name if step.for_each is not None else "item": item, "index": index}


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, the list that it counts, and what went wrong."""

    decision: Decision
    items: Sequence[Any] = ()
    error: str | None = None


def decide(step: WrittenStep, known: Known, evaluator: Evaluates) -> Decided:
    """Evaluate a step's condition, then its branch or its list."""
    try:
        if isinstance(step.condition, bool):
            holds = step.condition
        else:
            holds = step.condition is None or _wanted(step.condition, known, evaluator, bool, "true or false")
        if not holds:
            return Decided(Decision(condition=False))
        if step.branch is not None:
            return Decided(Decision(chosen=_chosen(step, known, evaluator)))
        if step.for_each is not None:
            items = cast("list[Any]", _wanted(step.for_each.items, known, evaluator, list, "a list"))
            if len(items) > step.for_each.max:
                raise CannotEvaluate(f"the list has {len(items):,} items, and `for_each.max` is {step.for_each.max:,}")
            return Decided(Decision(items=len(items)), items)
        return Decided(Decision())
    except CannotEvaluate as error:
        return Decided(Decision(failed=True), error=str(error))


def filled(value: Any, known: Known, evaluator: Evaluates, item: Mapping[str, Any] | None = None) -> Any:
    """A value with its expressions evaluated; references to secrets stay.

    Raises:
        CannotEvaluate: one of them gives nothing.
    """
    if isinstance(value, str):
        return _text(value, known, evaluator, item)
    if isinstance(value, list | tuple):
        return [filled(each, known, evaluator, item) for each in cast(list[Any], value)]
    if isinstance(value, Mapping):
        members = cast(Mapping[str, Any], value)
        return {name: filled(each, known, evaluator, item) for name, each in members.items()}
    return value


def has_expressions(value: Any) -> bool:
    """Whether evaluating it asks the evaluator, as far as that can be seen at once."""
    return any(OPEN in text for _, text in texts_in(value))


def _chosen(step: WrittenStep, known: Known, evaluator: Evaluates) -> tuple[str, ...]:
    for case in step.branch or ():
        if case.when is None or _wanted(case.when, known, evaluator, bool, "true or false"):
            return (case.go,) if isinstance(case.go, str) else case.go
    return ()


def _wanted(text: str, known: Known, evaluator: Evaluates, kind: type, told: str) -> Any:
    expression = expression_of(text)
    value = text if expression is None else _value(expression, known, evaluator, None)
    if not isinstance(value, kind):
        raise CannotEvaluate(f"{text.strip():.200} gives {_shown(value)}, and {told} is wanted")
    return value


def _text(text: str, known: Known, evaluator: Evaluates, item: Mapping[str, Any] | None) -> Any:
    parts = template_of(text)
    whole = [part for part in parts if part != ""]
    if len(whole) == 1 and isinstance(whole[0], Expression):
        return _value(whole[0], known, evaluator, item)
    return "".join(part if isinstance(part, str) else _as_text(_value(part, known, evaluator, item)) for part in parts)


def _value(expression: Expression, known: Known, evaluator: Evaluates, item: Mapping[str, Any] | None) -> Any:
    context = context_of(references(expression.source), known.values(item))
    [found] = evaluator.evaluate([Evaluation(expression.source, context)])
    if found.error is not None:
        raise CannotEvaluate(f"${{{{ {expression.source:.200} }}}}: {found.error}")
    return found.value


def _as_text(value: Any) -> str:
    """In the middle of a text."""
    return value if isinstance(value, str) else encode_text(value)


def _shown(value: Any) -> str:
    text = encode_text(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
