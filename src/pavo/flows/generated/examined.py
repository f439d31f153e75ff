"""A proposed flow, examined as a whole: checked, tried with fakes, and what it would call. It is done in a process that
can be ended, for all of it is a stranger's text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field

from pavo.errors import InternalError
from pavo.flows.building.yaml_text import yaml_of
from pavo.flows.cases import Case, cases_of, judge
from pavo.flows.checking.checked import CheckedFlow, FlowProblem, KnownNames, check, wrong_as_a_whole
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.definition.problems import WrongDefinition
from pavo.flows.definition.reading import read
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.generated.made_up import made_up_case
from pavo.flows.generated.reach import CalledByFlow, FlowCost, called_by, cost_of, hosts_of
from pavo.flows.published.difference import difference
from pavo.flows.published.schemas import FlowDifferenceOut
from pavo.kit.json_values import NotStorable, plain

MAX_CASES: Final = 10
"""Of the model's, that are run; each takes as long as the flow has expressions."""
MAX_STEPS: Final = 200
"""Of a flow that is tried: a longer one is checked, and shown, and its author may test it."""
MAX_TOLD: Final = 300
MAX_WRONG: Final = 10
"""Differences that are told of one case."""
MAX_UNASKED: Final = 50


class Proposal(BaseModel):
    """What is examined."""

    flow: str
    cases: str | None = None
    before: str | None = None
    """The flow that is edited."""
    asked: str = ""
    """What people asked for, in their words."""
    known: KnownNames = Field(default_factory=KnownNames)
    effects: dict[str, str] = Field(default_factory=dict[str, str])
    """Of tools, by name, as they count in the organisation."""
    nothing: str = "0.00 USD"
    """No money."""


class TriedCase(BaseModel):
    """A run with fakes in the place of what the steps would do."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    made_up: bool = False
    """Its values are Pavo's own, by the schemas; else the model wrote the case."""
    outcome: str
    """succeeded, failed or cancelled."""
    ok: bool
    """Whether all was as the case expects."""
    wrong: list[str] = Field(default_factory=list[str])
    """What was not, at most 10."""


class Examination(BaseModel):
    """What came of it."""

    checked: CheckedFlow
    case_problems: list[FlowProblem] = Field(default_factory=list[FlowProblem])
    """Why the cases cannot be run; the flow may be right nevertheless."""
    flow: str | None = None
    """YAML of what the flow says, without comments; None of one that is wrong, as what follows."""
    cases: str | None = None
    tried: list[TriedCase] = Field(default_factory=list[TriedCase])
    calls: list[CalledByFlow] = Field(default_factory=list[CalledByFlow])
    cost: FlowCost | None = None
    unasked: list[str] = Field(default_factory=list[str])
    """Secrets and addresses that neither the request nor the flow before it names."""
    difference: FlowDifferenceOut | None = None


def examine(given: Proposal, evaluator: Evaluator) -> Examination:
    """All that can be said of a proposal."""
    checked = check(given.flow, evaluator.wrong, given.known)
    if not checked.ok:
        return Examination(checked=checked)
    definition = definition_of(given.flow, evaluator.wrong, given.known)
    value, before = plain(dict(definition.value))[0], _before(given.before)
    text = yaml_of(value)
    if definition_of(text, lambda sources: [None] * len(sources)).hash != checked.hash:
        raise InternalError("A flow's text does not say what the flow says.")
    found = Examination(
        checked=checked,
        flow=text,
        calls=list(called_by(definition, given.effects)),
        cost=cost_of(definition, given.nothing),
        unasked=list(_unasked(definition, f"{given.asked}\n{given.before or ''}", before))[:MAX_UNASKED],
        difference=None if before is None else _difference(before, value),
    )
    _try(found, given.cases, definition, evaluator)
    return found


def _try(found: Examination, cases: str | None, definition: Definition, evaluator: Evaluator) -> None:
    if len(definition.flow.steps) > MAX_STEPS:
        return
    if cases is not None:
        try:
            wanted = cases_of(cases, definition)
            found.cases = yaml_of(plain(read(cases).value)[0])
            found.tried = [_tried(definition, each, evaluator) for each in wanted.cases[:MAX_CASES]]
        except WrongDefinition as wrong:
            told = wrong.extra["problems"]
            found.case_problems = [FlowProblem.model_validate(each) for each in told[:MAX_WRONG]]
        except NotStorable as error:
            found.case_problems = wrong_as_a_whole(f"the cases cannot be kept: {error}", error.remedy).problems
    made_up = _tried(definition, made_up_case(definition), evaluator)
    found.tried.append(made_up.model_copy(update={"made_up": True}))


def _tried(definition: Definition, case: Case, evaluator: Evaluator) -> TriedCase:
    judged = judge(definition, case, evaluator)
    wrong = [each[:MAX_TOLD] for each in judged.wrong[:MAX_WRONG]]
    return TriedCase(name=case.name, outcome=str(judged.tried.outcome), ok=not judged.wrong, wrong=wrong)


def _unasked(definition: Definition, asked: str, before: Mapping[str, Any] | None) -> Iterator[str]:
    """What a person ought to look at twice: a text that the model was given may have put it there."""
    former = (before or {}).get("flow", definition.flow.flow)
    if former != definition.flow.flow:
        yield f"It is another flow by its name: {definition.flow.flow}, not {str(former)[:MAX_TOLD]}."
    for name in definition.flow.secrets:
        if name not in asked:
            yield f"It names the secret {name}, which the request does not name."
    words = asked.lower()
    for step, host in hosts_of(definition):
        if host is None:
            yield f"Step {step} sends a request to an address that is computed."
        elif host not in words:
            yield f"Step {step} sends a request to {host[:MAX_TOLD]}, which the request does not name."


def _before(text: str | None) -> Mapping[str, Any] | None:
    """The flow that is edited, as far as it can be compared: it may be wrong."""
    if text is None:
        return None
    try:
        value: Any = plain(read(text).value)[0]
    except (WrongDefinition, NotStorable):
        return None
    if not isinstance(value, dict):
        return None
    members = cast("dict[str, Any]", value)
    return members if isinstance(members.setdefault("steps", {}), Mapping) else None


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> FlowDifferenceOut:
    return FlowDifferenceOut.model_validate(difference(before, after))


def told(problems: Sequence[FlowProblem]) -> list[str]:
    """Problems for whoever is to mend them, a line each."""
    return [f"{each.line}:{each.column}: {each.path}: {each.message}. {each.remedy}" for each in problems]
