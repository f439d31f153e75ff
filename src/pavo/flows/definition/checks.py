"""What is wrong with a flow whose form is right."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from pavo.flows.definition.durations import duration_of
from pavo.flows.definition.fitting import unfit, wrong_schema
from pavo.flows.definition.graph import Graph, graph_of, needs_of
from pavo.flows.definition.problems import Path, did_you_mean
from pavo.flows.definition.written import WrittenFlow, WrittenStep
from pavo.flows.expressions.templates import OPEN

Finding = tuple[Path, str, str]
"""Where, what, and what to do about it."""

WORKING: Final = frozenset(("tool", "agent", "job", "flow", "python", "http"))
"""Kinds that do something which may fail and is done again."""
_FILLED: Final = frozenset(("tool", "agent", "job", "flow", "python"))
"""Kinds that are given values by `with`."""
_WORKERS: Final = {
    "retry": "is tried again",
    "compensate": "can be undone",
    "for_each": "is done for each item",
}


def of_needs(flow: WrittenFlow) -> Iterator[Finding]:
    """Steps that are needed and are not there."""
    for name, step in flow.steps.items():
        for each in needs_of(step):
            if each not in flow.steps:
                remedy = did_you_mean(each, flow.steps, "Name a step of this flow.")
                yield ("steps", name, "needs"), f"there is no step {each!r}", remedy


def of_circle(flow: WrittenFlow) -> tuple[Graph | None, Sequence[Finding]]:
    """The graph, or the circle that it has."""
    graph = graph_of(flow.steps)
    if isinstance(graph, Graph):
        return graph, ()
    way = " → ".join(graph)
    remedy = "Take one of these needs away; what is to be done again belongs in a child flow, or in `retry`."
    return None, [(("steps", graph[0], "needs"), f"steps need each other in a circle: {way}", remedy)]


def of_step(flow: WrittenFlow, name: str, step: WrittenStep) -> Iterator[Finding]:
    """Members of a step that do not go together."""
    top: Path = ("steps", name)
    for member, told in _WORKERS.items():
        if getattr(step, member) is not None and step.kind not in WORKING:
            remedy = f"Leave it out; {', '.join(sorted(WORKING))} can have it."
            yield (*top, member), f"no {step.kind} {told}", remedy
    if step.values and step.kind not in _FILLED:
        yield (*top, "with"), f"a {step.kind} is given no values by `with`", f"Put them into `{step.kind}`."
    if step.join != "all_success" and not needs_of(step):
        yield (*top, "join"), "it needs no step that it could join", "Give `needs`, or leave it out."
    yield from _of_times(top, step)
    yield from _of_schemas(top, step)
    yield from _of_branch(flow, name, step)
    if (each := step.for_each) is not None and each.name in RESERVED:
        yield (*top, "for_each", "as"), f"{each.name!r} has a meaning of its own", "Choose another name."


RESERVED: Final = frozenset(("inputs", "steps", "run", "index", "secrets"))


def _of_times(top: Path, step: WrittenStep) -> Iterator[Finding]:
    if step.sleep is not None and OPEN not in step.sleep:
        try:
            duration_of(step.sleep)
        except ValueError as error:
            yield (*top, "sleep"), f"{step.sleep!r:.80}: {error}", "Or give an expression."
    if step.until is not None and OPEN not in step.until and not _is_time(step.until):
        wrong = f"{step.until!r:.80} is no time with its zone"
        yield (*top, "until"), wrong, "Write it like 2027-01-31T08:00:00+01:00, or give an expression."


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _of_schemas(top: Path, step: WrittenStep) -> Iterator[Finding]:
    if step.output is not None and (wrong := wrong_schema(step.output)) is not None:
        yield (*top, "output"), f"it is no JSON Schema: {wrong}", "Correct it."
    form: Mapping[str, Mapping[str, Any]] = step.gate.form if step.gate is not None else {}
    for member, schema in form.items():
        if (wrong := wrong_schema(schema)) is not None:
            yield (*top, "gate", "form", member), f"it is no JSON Schema: {wrong}", "Correct it."


def _of_branch(flow: WrittenFlow, name: str, step: WrittenStep) -> Iterator[Finding]:
    cases = step.branch or ()
    for index, case in enumerate(cases):
        path: Path = ("steps", name, "branch", index)
        if case.otherwise and index < len(cases) - 1:
            yield (*path, "else"), "what stands behind it is never looked at", "Put it last."
        for target in (case.go,) if isinstance(case.go, str) else case.go:
            if target not in flow.steps:
                remedy = did_you_mean(target, flow.steps, "Name a step of this flow.")
                yield (*path, "go"), f"there is no step {target!r}", remedy
            elif name not in needs_of(flow.steps[target]):
                remedy = f"Give {target} `needs: [{name}]`."
                yield (*path, "go"), f"{target!r} does not need {name!r}, so it would not wait for it", remedy


def of_flow(flow: WrittenFlow, value: Mapping[str, Any]) -> Iterator[Finding]:
    """Schemas of the flow's own, and values that name secrets."""
    for name, schema in flow.inputs.items():
        if (wrong := wrong_schema(schema)) is not None:
            yield ("inputs", name), f"it is no JSON Schema: {wrong}", "Correct it."
        elif "default" in schema and (told := unfit(schema, schema["default"])) is not None:
            yield ("inputs", name, "default"), f"it does not fit its own schema: {told}", "Correct one of them."
    if flow.output is not None and (wrong := wrong_schema(flow.output)) is not None:
        yield ("output",), f"it is no JSON Schema: {wrong}", "Correct it."
    if flow.output is not None and flow.result is None:
        yield ("output",), "the flow gives no result that could be so", "Give `result`."
    yield from _of_secrets(flow, value, ())


def _of_secrets(flow: WrittenFlow, value: Any, path: Path) -> Iterator[Finding]:
    """References `{secret: NAME}`; the document is not deep."""
    if isinstance(value, list):
        for index, each in enumerate(cast(list[Any], value)):
            yield from _of_secrets(flow, each, (*path, index))
    elif isinstance(value, Mapping):
        members = cast(Mapping[str, Any], value)
        name = members.get("secret")
        if len(members) == 1 and isinstance(name, str) and "steps" in path and name not in flow.secrets:
            remedy = did_you_mean(name, flow.secrets, f"Add {name} to `secrets`.")
            yield (*path, "secret"), f"the flow does not name a secret {name!r}", remedy
        for key, each in members.items():
            yield from _of_secrets(flow, each, (*path, key))
