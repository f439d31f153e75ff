"""The set: requests, the flows before them, what is expected of the answers, and a right answer to each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field

from pavo.flows.building.yaml_text import yaml_of
from pavo.flows.checking.checked import KnownNames
from pavo.flows.generated.answers import REFUSE
from pavo.flows.generated.prompt import Described, Offered

SET: Final = Path(__file__).with_name("set")
KINDS: Final = ("scratch", "edits", "repairs", "refusals", "injections")
Kind: TypeAlias = Literal["scratch", "edits", "repairs", "refusals", "injections"]
Label: TypeAlias = str
"""A kind of steps, such as `gate`, or a kind with what it calls, asks or waits: `tool:crm.get`, `gate:owners`,
`sleep:1h`, `http:HOST`, `flow:pay-one@3`."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ExpectedLoop(_Form):
    """Of a `for_each`; what is not given is not looked at."""

    max: int | None = None
    at_least: int | None = None
    """The least that `max` may be."""
    parallel: int | None = None
    beside: bool | None = None
    """Whether more than one is done at once."""
    collect: bool | None = None


class ExpectedFlow(_Form):
    """What the flow must be like; each member, and each entry of one, is a fact that is scored."""

    steps: tuple[int, int] | None = None
    """At least and at most so many."""
    does: tuple[Label, ...] = ()
    """There is such a step; one that is named twice has to be there twice."""
    lacks: Annotated[tuple[Label, ...], Field(alias="not")] = ()
    """There is no such step."""
    order: tuple[tuple[Label, Label], ...] = ()
    """Some step of the second label begins only when one of the first is over."""
    beside: tuple[Label, ...] = ()
    """Two steps of the label do not wait for each other."""
    guarded: tuple[Label, ...] = ()
    """A step of the label has a condition, or a branch leads to it."""
    branch: int | None = None
    """A branch has so many ways."""
    joins: Mapping[Label, tuple[str, ...]] = Field(default_factory=dict[str, Any])
    """How a step of the label may join."""
    for_each: Mapping[Label, ExpectedLoop] = Field(default_factory=dict[str, Any])
    retry: Mapping[Label, int] = Field(default_factory=dict[str, Any])
    timeout: Mapping[Label, str] = Field(default_factory=dict[str, Any])
    expires: Mapping[Label, str] = Field(default_factory=dict[str, Any])
    escalates: Mapping[Label, str] = Field(default_factory=dict[str, Any])
    """Whom a gate asks later."""
    undone: Mapping[Label, str] = Field(default_factory=dict[str, Any])
    """By which tool."""
    compensates: bool | None = None
    policy: tuple[str, ...] = ()
    """Which `on_failure.policy` it may be."""
    inputs: tuple[str, ...] = ()
    secrets: tuple[str, ...] | None = None
    """These, and no others."""
    duration: str | None = None
    fallback: str | None = None
    keeps: tuple[str, ...] = ()
    """Ids of steps that stay as they were."""


class _Written(_Form):
    id: str
    request: str
    before: str | None = None
    note: str = ""
    """Text that stands before the flow that is edited."""
    expect: ExpectedFlow | None = None
    answer: str | None = None
    patch: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EvaluationCase:
    """One request."""

    id: str
    kind: Kind
    request: str
    before: str | None
    """The flow that is edited."""
    expect: ExpectedFlow | None
    """None: it is to be refused."""
    right: str
    """An answer that a model could give, and that meets all of it."""


def world() -> Offered:
    """What the flows of the set may name."""
    found = _yaml("world")
    tools: dict[str, Any] = found["tools"]
    agents: dict[str, str] = found["agents"]
    known = KnownNames(
        tools={name: [1] for name in tools},
        agents=[*agents],
        repositories=found["repositories"],
        flows=found["flows"],
        python=found["python"],
    )
    described = [
        Described(name, one["description"], one["effect"], _arguments(one["with"])) for name, one in tools.items()
    ]
    return Offered(known, described, [Described(name, text) for name, text in agents.items()])


def evaluation_set() -> Sequence[EvaluationCase]:
    """All, in the order of their files."""
    before: dict[str, str] = _yaml("before")
    found = [_case(kind, _Written.model_validate(each), before) for kind in KINDS for each in _yaml(kind)]
    ids = [each.id for each in found]
    assert len(ids) == len(set(ids)), "an id is there twice"
    return found


def _case(kind: Kind, written: _Written, flows: Mapping[str, str]) -> EvaluationCase:
    before = None if written.before is None else f"{written.note}\n{flows[written.before]}".lstrip("\n")
    assert (written.expect is None) == (kind == "refusals"), written.id
    if written.expect is None:
        right = f"{REFUSE} That is not there."
    else:
        flow = written.answer
        if flow is None:
            assert before is not None and written.patch is not None, written.id
            flow = yaml_of(merged(yaml.safe_load(flows[written.before or ""]), written.patch))
        right = f"```flow\n{flow}```\n"
    return EvaluationCase(written.id, kind, written.request.strip(), before, written.expect, right)


def merged(value: Any, patch: Any) -> Any:
    """A value after a merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    found: dict[str, Any] = {**cast("Mapping[str, Any]", value)} if isinstance(value, Mapping) else {}
    for name, each in cast("Mapping[str, Any]", patch).items():
        if each is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), each)
    return found


def _arguments(members: Mapping[str, str]) -> Mapping[str, Any]:
    return {"type": "object", "properties": {name: {"type": kind} for name, kind in members.items()}}


def _yaml(name: str) -> Any:
    return yaml.safe_load((SET / f"{name}.yaml").read_text("utf-8"))
