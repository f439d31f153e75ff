"""Flows as programs give them: in a simple engine's form, or as definitions."""

from collections.abc import Mapping
from typing import Any

from pavo.errors import InvalidInput
from pavo.flows.building.flow import Flow
from pavo.flows.convert.converting import convert
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.definition.names import NothingKnown
from pavo.flows.definition.problems import did_you_mean
from pavo.flows.embedded.actions import Actions
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger.records import LOCAL
from pavo.kit.json_values import encode_text


def defined(flow: Mapping[str, Any] | str | Flow, actions: Actions, evaluator: Evaluator) -> Definition:
    """Check a flow.

    Raises:
        InvalidInput: see `TemporalWorkflowEngine.register`.
    """
    known = NothingKnown(python=actions.names)
    if isinstance(flow, Flow):
        return definition_of(flow.yaml, evaluator.wrong, known)
    if isinstance(flow, str):
        return definition_of(flow, evaluator.wrong, known)
    if "flow" in flow:
        return definition_of(encode_text(flow), evaluator.wrong, known)
    return _converted(flow, actions, evaluator)


def _converted(flow: Mapping[str, Any], actions: Actions, evaluator: Evaluator) -> Definition:
    found = convert(flow, "simple", evaluator.wrong)
    if found.left:  # it would do something else than the program means
        told = "; ".join(f"{each.told} {each.remedy}" for each in found.left)
        remedy = "Write it as a definition: pavo flow convert --from simple"
        raise InvalidInput(f"Not all of it can be carried over: {told[:2_000]}", field="flow", remedy=remedy)
    for name, given in found.functions.items():
        if not actions.stands_for(name, given):
            remedy = did_you_mean(given, actions.given, "Give it to the engine among its actions.")
            raise InvalidInput(f"There is no action {given[:100]!r}.", field="actions", remedy=remedy)
    value = definition_of(found.flow, evaluator.wrong).value
    return definition_of(encode_text({**value, "fallback": LOCAL}), evaluator.wrong)
