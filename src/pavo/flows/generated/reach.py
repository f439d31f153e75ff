"""What a flow will call, how often at most, and what may cost money: read off its definition."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from pavo.flows.definition.definition import Definition
from pavo.flows.definition.texts import work_of
from pavo.flows.definition.written import WrittenStep
from pavo.flows.evaluation import SECRET
from pavo.flows.expressions.templates import OPEN

Effect = Literal["read", "idempotent", "unsafe"]
SILENT: Final = frozenset(("branch", "sleep", "until"))
"""Kinds of steps that reach nothing."""
ASKING: Final = frozenset(("agent", "job"))
"""Kinds that ask models, as their programs like."""
OPAQUE: Final = frozenset(("flow", "python"))
"""Kinds of which the definition does not say what they do."""
MAX_SHOWN: Final = 500
MAX_REASONS: Final = 20


class CalledByFlow(BaseModel):
    """Something that a flow's step calls, or asks."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    step: str
    kind: str
    """tool, agent, job, flow, python, http, gate or wait_for."""
    what: str
    """A tool with its version, an agent, a repository, method and address, or who is asked; an address that is computed
    is shown as its expression."""
    effect: Effect | None = None
    """Of a tool, as it counts in the organisation; null: of something else, or nobody knows."""
    most: int
    """How often in one run: items of its list times its tries."""
    undoes: bool = False
    """It is called only to undo the step."""
    secrets: list[str] = Field(default_factory=list[str])
    """Names of the secrets that it is given."""


class FlowCost(BaseModel):
    """What one run of a flow may cost in calls of models, as far as its definition says."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    most: str | None
    """At most so much; null: not known."""
    tasks: int
    """Tasks of agents at most, tries included."""
    jobs: int
    """Coding jobs at most, tries included."""
    unknown: list[str]
    """Why it is not known, at most 20 reasons."""


def called_by(definition: Definition, effects: Mapping[str, str]) -> Iterator[CalledByFlow]:
    """All of a flow, in the order of its steps.

    Args:
        effects: of tools, by name.
    """
    for name in definition.graph.order:
        step = definition.flow.steps[name]
        if step.kind in SILENT:
            continue
        yield CalledByFlow(
            step=name,
            kind=step.kind,
            what=_what(step),
            effect=_effect(step.tool, effects),
            most=most_of(step),
            secrets=sorted(set(_secrets(work_of(step)))),
        )
        if (undo := step.compensate) is not None:
            yield CalledByFlow(
                step=name,
                kind="tool",
                what=undo.tool,
                effect=_effect(undo.tool, effects),
                most=step.for_each.max if step.for_each is not None else 1,
                undoes=True,
                secrets=sorted(set(_secrets(undo.values))),
            )


def cost_of(definition: Definition, nothing: str) -> FlowCost:
    """What a run may cost.

    Args:
        nothing: no money, in the currency of the price table.
    """
    steps = definition.flow.steps
    counts = {kind: sum(most_of(each) for each in steps.values() if each.kind == kind) for kind in ASKING}
    unknown = [f"{name} is {_told(step)}" for name, step in steps.items() if step.kind in ASKING | OPAQUE]
    most, reasons = None if unknown else nothing, unknown[:MAX_REASONS]
    return FlowCost(most=most, tasks=counts["agent"], jobs=counts["job"], unknown=reasons)


def most_of(step: WrittenStep) -> int:
    """How often a step is done in one run at most."""
    items = step.for_each.max if step.for_each is not None else 1
    return items * (step.retry.max if step.retry is not None else 1)


def hosts_of(definition: Definition) -> Iterator[tuple[str, str | None]]:
    """Steps that send requests, each with its host; None: it is computed."""
    for name, step in definition.flow.steps.items():
        if step.http is None:
            continue
        try:
            host = urlsplit(step.http.url.partition("?")[0]).netloc
        except ValueError:
            host = ""
        yield name, host.lower() if host and OPEN not in host and "${" not in host else None


def _what(step: WrittenStep) -> str:
    if step.http is not None:
        return f"{step.http.method} {step.http.url}"[:MAX_SHOWN]
    if step.gate is not None:
        others = f", later {step.gate.escalate.ask}" if step.gate.escalate is not None else ""
        return f"{step.gate.ask}{others}"
    if step.wait_for is not None:
        return f"signal {step.wait_for.signal}" if step.wait_for.signal else f"webhook {step.wait_for.webhook}"
    return str(getattr(step, step.kind))[:MAX_SHOWN]


def _effect(tool: str | None, effects: Mapping[str, str]) -> Effect | None:
    found = effects.get(tool.partition("@")[0]) if tool is not None else None
    return found if found in ("read", "idempotent", "unsafe") else None


def _told(step: WrittenStep) -> str:
    told = {
        "agent": "a task of an agent, which asks models as it likes",
        "job": "a coding job, whose program asks models as it likes",
        "flow": "another flow",
        "python": "a function, of which the flow says nothing",
    }
    return told[step.kind]


def _secrets(value: Any) -> Iterator[str]:
    """Names of the secrets that a value refers to; the document is not deep."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        name = members.get(SECRET)
        if len(members) == 1 and isinstance(name, str):
            yield name
        for each in members.values():
            yield from _secrets(each)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in cast("Sequence[Any]", value):
            yield from _secrets(each)
