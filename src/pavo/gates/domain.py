"""The pure rules of gates."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

QUESTION: Final = "question"
"""The kind of a gate that an agent opened by `ctx.ask`."""

EFFECT: Final = "effect"
"""… and of one that asks whether an unsafe call of a tool happened."""

APPROVAL: Final = "approval"
"""… and of one that asks whether a call of a tool may begin."""

BUDGET: Final = "budget"
"""… and of one that asks what to do about a budget that does not suffice."""

PLAN: Final = "plan"
"""… and of one over the plan of a coding program, which people accept or have revised."""

TASK: Final = "task"
"""The kind of subject where none is named."""

OPEN: Final = "open"
ANSWERED: Final = "answered"
EXPIRED: Final = "expired"
"""Nobody answered in time, and it has no default."""
PAUSED: Final = "paused"
"""Nobody waits for it: its owner was stopped, failed, is done or asks others. It takes no answer until it is asked
again."""
GateState = Literal["open", "answered", "expired", "paused"]

BY_DEFAULT: Final = "policy:default"
"""Who answered, where the default of a question that expired did."""

MEMBER: Final = "member"
OWNER: Final = "owner"
MayAnswer = Literal["member", "owner"]
"""Whose answer counts: any member's of the organisation, or an owner's alone."""

MAX_ANSWER_BYTES: Final = 16_000
MAX_NOTE: Final = 2_000
MAX_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose gates they are."""

    id: uuid.UUID
    """That of its timeline."""
    organisation_id: uuid.UUID
    scope: str
    """Within it: gates of another scope are others, such as those of another version of a plan."""
    kind: str = TASK
    """The noun of its kind of durable work."""


@dataclass(frozen=True, slots=True)
class NewGate:
    """What is to be asked."""

    kind: str
    key: str
    text: str
    hash: str
    schema: Mapping[str, Any]
    """JSON Schema of the answer."""
    choices: Sequence[str] = ()
    expires_seconds: float | None = None
    default: Any = None
    has_default: bool = False
    may_answer: MayAnswer = MEMBER


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate as it stands."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    subject_id: uuid.UUID
    kind: str
    key: str
    text: str
    hash: str
    schema: Mapping[str, Any]
    choices: Sequence[str]
    state: GateState
    answer: Any
    answered_by: str | None
    """The address of who answered, or the policy that did."""
    answered_by_id: uuid.UUID | None
    note: str
    opened_at: datetime
    expires_at: datetime | None
    answered_at: datetime | None
    has_default: bool = False
    default: Any = None
    may_answer: MayAnswer = MEMBER
    subject_kind: str = TASK
    """The noun of the subject's kind: task, job."""

    @property
    def task_id(self) -> uuid.UUID | None:
        """The subject where it is a task."""
        return self.subject_id if self.subject_kind == TASK else None


@dataclass(frozen=True, slots=True)
class OpenGates:
    """What waits for people, in all organisations."""

    gates: int
    oldest_seconds: float
    """0 where there is none."""


def same_json(one: Any, other: Any) -> bool:
    """Whether two answers are the same as JSON: 1 is not true, and members have no order."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
