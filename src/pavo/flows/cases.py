"""Tests of a flow as a file: what a run is given, what its steps would bring, and what is expected of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from pavo.flows.definition.definition import Definition
from pavo.flows.definition.fitting import unfit
from pavo.flows.definition.form import form_of
from pavo.flows.definition.problems import Path, Problem, WrongDefinition, did_you_mean
from pavo.flows.definition.reading import Document, read
from pavo.flows.definition.written import StepId
from pavo.flows.evaluation import Evaluates
from pavo.flows.trial import Fake, Trial, Tried
from pavo.kit.json_values import encode_text

_SHOWN: Final = 200


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class WrittenFake(_Form):
    """What a step gives, or how it fails."""

    output: Any = None
    error: str | None = Field(default=None, min_length=1)
    items: tuple["WrittenFake", ...] = ()
    """For a step that is done for each item: by index; the last one for all that follow."""

    @property
    def fake(self) -> Fake:
        """For a trial."""
        return Fake(self.output, self.error, tuple(each.fake for each in self.items))


class Expected(_Form):
    """What is not given is not looked at."""

    outcome: Literal["succeeded", "failed", "cancelled"] = "succeeded"
    steps: Mapping[StepId, Literal["succeeded", "failed", "skipped", "cancelled"]] = Field(
        default_factory=dict[str, Any]
    )
    result: Any = Field(default=None)
    given: Mapping[StepId, Any] = Field(default_factory=dict[str, Any])
    """By step, what it is given by `with`; of a step that is done for each item a list."""
    undone: tuple[StepId, ...] | None = None
    """Steps that are undone, in this order."""


class Case(_Form):
    """One run."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    inputs: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    fakes: Mapping[StepId, WrittenFake] = Field(default_factory=dict[str, WrittenFake])
    expect: Expected = Expected()


class Cases(_Form):
    """The file."""

    cases: tuple[Case, ...] = Field(min_length=1, max_length=1_000)


@dataclass(frozen=True, slots=True)
class Judged:
    """A case that was run."""

    name: str
    tried: Tried
    wrong: Sequence[str]
    """What was not as expected; empty: all was."""


def cases_of(data: bytes | str, definition: Definition) -> Cases:
    """The cases of a file.

    Raises:
        WrongDefinition: it holds none, or names steps that the flow has not.
    """
    document = read(data)
    cases = form_of(document, Cases)
    problems = [each for at, case in enumerate(cases.cases) for each in _unknown(document, definition, at, case)]
    if problems:
        raise WrongDefinition(problems)
    return cases


def _unknown(document: Document, definition: Definition, at: int, case: Case) -> list[Problem]:
    found: list[Problem] = []
    named: list[tuple[Path, Mapping[str, Any]]] = [
        (("cases", at, "fakes"), case.fakes),
        (("cases", at, "expect", "steps"), case.expect.steps),
        (("cases", at, "expect", "given"), case.expect.given),
    ]
    for top, steps in named:
        for name in steps:
            if name not in definition.flow.steps:
                remedy = did_you_mean(name, definition.flow.steps, "Name a step of the flow.")
                path = (*top, name)
                found.append(Problem(path, f"the flow has no step {name!r}", remedy, document.places.of(path)))
    return found


def judge(definition: Definition, case: Case, evaluator: Evaluates) -> Judged:
    """Run one case."""
    wrong = _wrong_inputs(definition, case)
    trial = Trial(definition, evaluator, {name: each.fake for name, each in case.fakes.items()})
    tried = trial.run(case.inputs)
    return Judged(case.name, tried, [*wrong, *_differences(definition, case, tried)])


def _wrong_inputs(definition: Definition, case: Case) -> list[str]:
    found = [f"inputs: the flow has no {name!r}" for name in case.inputs if name not in definition.flow.inputs]
    for name, schema in definition.flow.inputs.items():
        if name not in case.inputs:
            found += [] if "default" in schema else [f"inputs: {name} is missing"]
            continue
        wrong = unfit(schema, case.inputs[name])
        found += [] if wrong is None else [f"inputs: {name}: {wrong}"]
    return found


def _differences(definition: Definition, case: Case, tried: Tried) -> list[str]:
    expected, found = case.expect, list[str]()
    if tried.outcome != expected.outcome:
        why = tried.error or "; ".join(f"{step}: {reason}" for step, reason in tried.reasons.items())
        found.append(f"outcome: {tried.outcome}, not {expected.outcome} ({why[:_SHOWN]})")
    for name, status in expected.steps.items():
        is_now = tried.known.steps[name]["status"]
        if is_now != status:
            why = tried.reasons.get(name)
            found.append(f"{name}: {is_now}, not {status}{f' ({why})' if why else ''}")
    if "result" in expected.model_fields_set and tried.result != expected.result:
        found.append(f"result: {_shown(tried.result)}, not {_shown(expected.result)}")
    for name, given in expected.given.items():
        calls = [call.given.get("with", {}) for call in tried.calls if call.step == name and not call.undoes]
        was = calls if definition.flow.steps[name].for_each is not None else (calls or [None])[0]
        if was != given:
            found.append(f"{name}: it is given {_shown(was)}, not {_shown(given)}")
    undone = tuple(call.step for call in tried.calls if call.undoes)
    if expected.undone is not None and undone != expected.undone:
        found.append(f"undone: {', '.join(undone) or 'nothing'}, not {', '.join(expected.undone) or 'nothing'}")
    return found


def _shown(value: Any) -> str:
    text = encode_text(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
