"""What comes of checking a flow. It is read by clients too."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, RootModel

from pavo.flows.definition.definition import Compile, Definition, definition_of
from pavo.flows.definition.problems import WrongDefinition
from pavo.kit.json_values import encode_text

Names: TypeAlias = Literal["tools", "tool_versions", "agents", "repositories", "flows", "python"]
"""Kinds of names that a flow's steps may hold."""
NAMES: Final[Sequence[Names]] = ("tools", "agents", "repositories", "flows", "python")
_BY_STEP: Final[Mapping[str, Names]] = {
    "tool": "tools",
    "agent": "agents",
    "job": "repositories",
    "flow": "flows",
    "python": "python",
}
UNTOLD_VERSIONS: Final = "Workers do not tell which versions of tools they have."


class KnownNames(BaseModel):
    """What the steps of flows may name at a deployment (`definition.names.Known`)."""

    tools: dict[str, list[int]] | None = None
    agents: list[str] | None = None
    repositories: list[str] | None = None
    flows: dict[str, list[int]] | None = None
    python: list[str] | None = None
    reasons: dict[Names, str] = Field(default_factory=dict[Names, str])
    """Why what is not known is not."""


class FlowText(BaseModel):
    """A flow to be checked."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    text: str
    """YAML or JSON, at most 1,000,000 bytes in UTF-8."""


class FlowProblem(BaseModel):
    """One thing that is wrong with a flow."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    path: str
    """Where in the flow, such as `steps.pay.needs[0]`."""
    line: int
    """Where in its text, from 1."""
    column: int
    """From 1."""
    message: str
    remedy: str
    """What to do about it."""


class Unchecked(BaseModel):
    """Names of a flow that could not be looked up."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    names: Names
    reason: str


class CheckedFlow(BaseModel):
    """What is wrong with a flow, all of it; or that nothing is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    ok: bool
    problems: list[FlowProblem] = Field(default_factory=list[FlowProblem])
    """At most 100, in the order of the text."""
    flow: str | None = None
    """Its name; null of one that is wrong, as what follows."""
    steps: int | None = None
    hash: str | None = None
    """SHA-256 of what it says: comments and the order of members do not matter."""
    only_on_temporal: list[str] = Field(default_factory=list[str])
    """Ids of the steps that are Temporal workflows of their own."""
    unchecked: list[Unchecked] = Field(default_factory=list[Unchecked])
    """Names in it that were not looked up, and why."""


class FlowSchema(RootModel[dict[str, Any]]):
    """The JSON Schema (draft 2020-12) of flows' files."""


class Examined(BaseModel):
    """A flow that was checked, to be kept where it is right."""

    checked: CheckedFlow
    text: str | None = None
    """What it says, as JSON; None of one that is wrong."""


def check(data: bytes | str, compile: Compile, known: KnownNames) -> CheckedFlow:
    """Check a flow.

    Args:
        compile: see `expressions.evaluating.Evaluator.wrong`.
    """
    return examine(data, compile, known).checked


def examine(data: bytes | str, compile: Compile, known: KnownNames, *, keep: bool = False) -> Examined:
    """Check a flow.

    Args:
        keep: what it says is wanted too.
    """
    try:
        found = definition_of(data, compile, known)
    except WrongDefinition as wrong:
        problems = [FlowProblem.model_validate(each) for each in wrong.extra["problems"]]
        return Examined(checked=CheckedFlow(ok=False, problems=problems))
    checked = CheckedFlow(
        ok=True,
        flow=found.flow.flow,
        steps=len(found.flow.steps),
        hash=found.hash,
        only_on_temporal=list(found.only_on_temporal),
        unchecked=list(_unchecked(found, known)),
    )
    return Examined(checked=checked, text=encode_text(found.value) if keep else None)


def wrong_as_a_whole(message: str, remedy: str) -> CheckedFlow:
    """What is answered of a flow that could not be checked to its end."""
    return CheckedFlow(
        ok=False, problems=[FlowProblem(path="the flow", line=1, column=1, message=message, remedy=remedy)]
    )


def _unchecked(found: Definition, known: KnownNames) -> Sequence[Unchecked]:
    steps = found.flow.steps.values()
    kinds = {step.kind for step in steps} | ({"tool"} if any(step.compensate for step in steps) else set[str]())
    wanted: list[Names] = [names for kind, names in _BY_STEP.items() if kind in kinds]
    left = [
        Unchecked(names=names, reason=known.reasons.get(names, "It is not known which there are."))
        for names in wanted
        if getattr(known, names) is None
    ]
    if "tools" in wanted and known.tools is not None and not all(known.tools.values()):
        left.append(Unchecked(names="tool_versions", reason=UNTOLD_VERSIONS))
    return left
