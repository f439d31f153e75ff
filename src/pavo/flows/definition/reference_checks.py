"""Whether what expressions refer to is there when they are evaluated."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pavo.flows.definition.checks import RESERVED, Finding
from pavo.flows.definition.graph import Graph
from pavo.flows.definition.problems import Path, did_you_mean
from pavo.flows.definition.schema_paths import dead_end
from pavo.flows.definition.texts import Text, texts_of
from pavo.flows.definition.written import WrittenFlow, WrittenStep
from pavo.flows.expressions.references import ExpressionTooLarge, Reference, bound_names, references
from pavo.flows.expressions.templates import Expression, UnclosedExpression, template_of

OF_STEP: Final = ("output", "status", "error", "items")
"""What expressions know of a step: what it gave; succeeded, failed, skipped or cancelled; the message; and of a step
that is done for each item a list of `{status, output, error}`."""
OF_RUN: Final = ("id", "flow", "started_at")
MAX_EXPRESSIONS: Final = 10_000
"""Of a flow."""
ANYTHING: Final[Mapping[str, Any]] = {}


def of_references(flow: WrittenFlow, graph: Graph | None, sources: dict[str, list[Path]]) -> Iterator[Finding]:
    """What is wrong with expressions.

    Args:
        sources: gets the places of each that can be compiled, by its source.
    """
    count = 0
    for text in texts_of(flow):
        try:
            parts = template_of(text.text)
        except UnclosedExpression as error:
            yield text.path, str(error), "Close it, or write $${{ where you mean these characters."
            continue
        expressions = [part for part in parts if isinstance(part, Expression)]
        count += len(expressions)
        if count > MAX_EXPRESSIONS:
            yield text.path, f"the flow has more than {MAX_EXPRESSIONS:,} expressions", "Move steps into child flows."
            return
        if text.wants_expression and (
            len(expressions) != 1 or any(isinstance(each, str) and each.strip() for each in parts)
        ):
            yield text.path, f"{text.text!r:.80} is no expression", "Write ${{ … }}."
        for each in expressions:
            wrong = list(_of_expression(flow, graph, text, each))
            yield from wrong
            if not wrong:
                sources.setdefault(each.source, []).append(text.path)


def _of_expression(flow: WrittenFlow, graph: Graph | None, text: Text, expression: Expression) -> Iterator[Finding]:
    try:
        found, bound = references(expression.source), bound_names(expression.source)
    except ExpressionTooLarge as error:
        yield text.path, str(error), "Have a step compute it, and refer to its output."
        return
    if not expression.source:
        yield text.path, "an expression is empty", "Write one, or leave the text out."
    for name in bound & RESERVED:
        yield text.path, f"a macro binds {name!r}, which has a meaning of its own", "Choose another name."
    for each in found:
        yield from _of_reference(flow, graph, text, each)


def _of_reference(flow: WrittenFlow, graph: Graph | None, text: Text, ref: Reference) -> Iterator[Finding]:
    step = flow.steps[text.step] if text.step is not None else None
    item = step.for_each.name if step is not None and step.for_each is not None and text.knows_item else None
    match ref.root:
        case "inputs":
            yield from _followed(text, ref, {"type": "object", "properties": dict(flow.inputs)})
        case "run":
            yield from _followed(text, ref, {"type": "object", "properties": dict.fromkeys(OF_RUN, ANYTHING)})
        case "steps":
            yield from _of_step(flow, graph, text, ref)
        case "secrets":
            remedy = "Where a value belongs write {secret: NAME}: no expression sees what is in it."
            yield text.path, "secrets are unknown to expressions", remedy
        case name if item is not None and name in (item, "index"):
            return
        case name:
            known = ["inputs", "steps", "run", *((item, "index") if item else ())]
            remedy = did_you_mean(name, known, f"Expressions know {', '.join(known)}.")
            yield text.path, f"{name!r} is not known here", remedy


def _of_step(flow: WrittenFlow, graph: Graph | None, text: Text, ref: Reference) -> Iterator[Finding]:
    name = ref.path[0] if ref.path else None
    if not isinstance(name, str):
        yield text.path, f"{ref.text!r} names no step", "Name the step: `steps.ID.output`."
        return
    if name not in flow.steps:
        yield text.path, f"there is no step {name!r}", did_you_mean(name, flow.steps, "Name a step of this flow.")
        return
    is_before = text.step is None or graph is None or name in graph.before[text.step]
    if not is_before and not (text.knows_itself and name == text.step):
        remedy = f"Give {text.step} `needs: [{name}]`." if name != text.step else "Refer to steps before it."
        yield text.path, f"step {name!r} need not be over when this is evaluated", remedy
        return
    step = flow.steps[name]
    if len(ref.path) < 2 or ref.path[1] not in OF_STEP or (ref.path[1] == "items" and step.for_each is None):
        known = [each for each in OF_STEP if each != "items" or step.for_each is not None]
        member = str(ref.path[1]) if len(ref.path) > 1 else ""
        remedy = did_you_mean(member, known, f"There are {', '.join(known)}.")
        yield text.path, f"{ref.text!r} is not known of a step", remedy
        return
    if ref.path[1] in ("output", "items"):
        yield from _followed(text, ref, _schema_of(step, str(ref.path[1])), 2)


def _schema_of(step: WrittenStep, member: str) -> Mapping[str, Any]:
    """Of what a step gives."""
    one = output_schema(step)
    if step.for_each is None:
        return one
    if member == "output":
        return {"type": "array", "items": one}
    properties = {"status": ANYTHING, "output": one, "error": ANYTHING}
    return {"type": "array", "items": {"type": "object", "properties": properties}}


def output_schema(step: WrittenStep) -> Mapping[str, Any]:
    """Of what a step gives, or gives for each item; nothing is said where nothing is known."""
    if step.output is not None:
        return step.output
    if step.gate is not None and step.gate.form:
        return {"type": "object", "properties": {**step.gate.form, "answered_by": {"type": "string"}}}
    if step.branch is not None:
        return {"type": "array", "items": {"type": "string"}}
    return ANYTHING


def _followed(text: Text, ref: Reference, schema: Mapping[str, Any], begin: int = 0) -> Iterator[Finding]:
    found = dead_end(schema, ref.path[begin:])
    if found is None:
        return
    member = str(ref.path[begin + found.at])
    otherwise = f"There are {', '.join(found.known[:20])}." if found.known else "It has no members."
    yield text.path, f"{ref.text!r} leads nowhere: there is no {member!r}", did_you_mean(member, found.known, otherwise)
