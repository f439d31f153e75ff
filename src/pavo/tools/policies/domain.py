"""The pure rules of policies: which of them decides about a call.

An organisation's policies are compared by how exactly they say what they mean, in this order:

1. one for an agent comes before one for all agents;
2. one that names the tool before one with wildcards, and of these the one with more other characters;
3. one for certain arguments before one for any;
4. one for an effect before one for any.

The most exact one that holds decides; of several that are equally exact the strictest: deny, then ask, then allow.
Where none holds, the default does. A task's own policies are compared among each other likewise, and the stricter of
the two words counts: what a task says can only add to what its organisation says.
"""

import fnmatch
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

from pavo.kit.json_schema import misfit
from pavo.kit.json_values import fingerprint
from pavo.tools.contract import UNSAFE, Effect

Decision: TypeAlias = Literal["allow", "ask", "deny"]

ALLOW: Final = "allow"
ASK: Final = "ask"
DENY: Final = "deny"
STRICTNESS: Final[Mapping[Decision, int]] = {ALLOW: 0, ASK: 1, DENY: 2}
EFFECT_STRICTNESS: Final[Mapping[Effect, int]] = {"read": 0, "idempotent": 1, UNSAFE: 2}

TOOL_GLOB: Final = re.compile(r"[A-Za-z0-9_.:/*?-]+", re.ASCII)
"""A tool's name; `*` stands for any characters, `?` for one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A word on calls of tools."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    decision: Decision
    tool: str = "*"
    """The tools that it is about, `*` and `?` as in names of files."""
    agent: str | None = None
    """Of this agent's tasks alone."""
    task_id: uuid.UUID | None = None
    """Of this task alone: it came with it."""
    effect: Effect | None = None
    """About tools of this effect alone."""
    arguments: Mapping[str, Any] | None = None
    """JSON Schema: about calls alone whose arguments fit it."""
    note: str = ""
    """For people: why."""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def rank(self) -> tuple[bool, bool, int, bool, bool]:
        """How exactly it says what it means; the larger one is more exact."""
        wild = "*" in self.tool or "?" in self.tool
        literal = len(self.tool.replace("*", "").replace("?", ""))
        return self.agent is not None, not wild, literal, self.arguments is not None, self.effect is not None

    @property
    def said(self) -> str:
        """SHA-256 of what it says: another one once it was changed."""
        told = [str(self.id), self.decision, self.tool, self.agent, self.effect]
        return fingerprint([*told, None if self.arguments is None else dict(self.arguments)])

    def told(self) -> str:
        """What it says, for people."""
        verb = {ALLOW: "allows", ASK: "asks about", DENY: "denies"}[self.decision]
        whose = "task" if self.task_id is not None else "organisation" + (f" for {self.agent}" if self.agent else "")
        parts = [f"a policy of the {whose} {verb} {self.tool}"]
        if self.effect is not None:
            parts.append(f"where its effect is {self.effect}")
        if self.arguments is not None:
            parts.append("with such arguments")
        return " ".join(parts) + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True, slots=True)
class Call:
    """What policies judge."""

    tool: str
    effect: Effect
    arguments: Mapping[str, Any]
    agent: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about a call."""

    decision: Decision
    rule: str
    """Names what said so; another one once that says something else."""
    why: str
    """For people."""


def judged(call: Call, policies: Sequence[Policy], default: Decision) -> Verdict:
    """The verdict on a call: what the most exact of the organisation's policies says, and the task's own where they
    are stricter. Holding arguments against schemas may take a second each.

    Args:
        policies: of the call's organisation, agent and task; others are passed over.
        default: where none of the organisation's holds.
    """
    ours = _deciding(call, [each for each in policies if each.task_id is None])
    own = _deciding(call, [each for each in policies if each.task_id is not None])
    word = ours.decision if ours is not None else default
    if own is not None and STRICTNESS[own.decision] >= STRICTNESS[word]:
        # Both say it: whoever allows it for the task has answered both.
        both = [own] if ours is None or ours.decision != own.decision else [own, ours]
        return Verdict(own.decision, fingerprint([each.said for each in both]), "; ".join(each.told() for each in both))
    if ours is not None:
        return Verdict(word, fingerprint([ours.said]), ours.told())
    verb = {ALLOW: "are allowed", ASK: "are asked about", DENY: "are denied"}[default]
    return Verdict(default, f"default/{default}/{call.effect}", f"by default calls of {call.effect} tools {verb}")


def _deciding(call: Call, policies: Iterable[Policy]) -> Policy | None:
    """The most exact of those that hold, of equals the strictest, of these the oldest."""
    about = [each for each in policies if _is_about(each, call)]
    # Arguments are held against schemas last, in this order, and no more of them than it takes.
    about.sort(key=lambda each: (each.rank, STRICTNESS[each.decision], -each.id.int), reverse=True)
    return next((each for each in about if _fits(each, call)), None)


def _is_about(policy: Policy, call: Call) -> bool:
    if policy.agent not in (None, call.agent) or policy.effect not in (None, call.effect):
        return False
    return _glob(policy.tool).fullmatch(call.tool) is not None


def _fits(policy: Policy, call: Call) -> bool:
    """Whether the arguments are such; where that cannot be judged, what is strict holds, and what allows does not."""
    if policy.arguments is None:
        return True
    try:
        return misfit(policy.arguments, dict(call.arguments)) is None
    except Exception:  # noqa: BLE001 - whatever a schema may do to its engine
        return policy.decision != ALLOW


@lru_cache(1_000)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))  # it backtracks into no star


def stricter_effect(one: Effect, other: Effect | None) -> Effect:
    """The stricter of two words on what calling a tool does."""
    return one if other is None or EFFECT_STRICTNESS[one] >= EFFECT_STRICTNESS[other] else other
