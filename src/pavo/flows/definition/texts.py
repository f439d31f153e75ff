"""Every place of a flow where an expression may stand, and what it may refer to there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pavo.flows.definition.problems import Path
from pavo.flows.definition.written import WrittenFlow, WrittenStep
from pavo.flows.expressions.templates import texts_in


@dataclass(frozen=True, slots=True)
class Text:
    """One place."""

    path: Path
    text: str
    step: str | None = None
    """Whose it is; None: the flow's result, which may refer to each step."""
    wants_expression: bool = False
    """Whether it must be one expression alone."""
    knows_item: bool = False
    """Whether it may refer to the item of the step's `for_each`."""
    knows_itself: bool = False
    """Whether it may refer to what its own step gave."""


def texts_of(flow: WrittenFlow) -> Iterator[Text]:
    """All of a flow, also those without an expression."""
    for name, step in flow.steps.items():
        yield from _of_step(name, step)
    for path, text in texts_in(flow.result, ("result",)):
        yield Text(path, text)


def _of_step(name: str, step: WrittenStep) -> Iterator[Text]:
    top: Path = ("steps", name)
    each = step.for_each is not None
    if isinstance(step.condition, str):
        yield Text((*top, "if"), step.condition, name, wants_expression=True)
    if step.for_each is not None:
        yield Text((*top, "for_each", "in"), step.for_each.items, name, wants_expression=True)
    for index, case in enumerate(step.branch or ()):
        if case.when is not None:
            yield Text((*top, "branch", index, "when"), case.when, name, wants_expression=True)
    for path, text in texts_in(work_of(step), top):
        yield Text(path, text, name, knows_item=each)
    if step.compensate is not None:
        for path, text in texts_in(dict(step.compensate.values), (*top, "compensate", "with")):
            yield Text(path, text, name, knows_item=each, knows_itself=True)


def work_of(step: WrittenStep) -> Mapping[str, Any]:
    """What is filled when the step begins, by its member."""
    found: dict[str, Any] = {"with": dict(step.values), "sleep": step.sleep, "until": step.until}
    if step.gate is not None:
        found["gate"] = {"question": step.gate.question}
    if step.http is not None:
        http = step.http
        found["http"] = {"url": http.url, "headers": dict(http.headers), "body": http.body}
    if step.wait_for is not None:
        found["wait_for"] = {"key": step.wait_for.key}
    return found


def decision_of(step: WrittenStep) -> Sequence[Any]:
    """What is evaluated when it is decided whether the step happens, which way, and for which items."""
    items = None if step.for_each is None else step.for_each.items
    return [step.condition, items, *(case.when for case in step.branch or ())]
