"""Plans, what people say of them, and what becomes of that. Part of `contract`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One numbered step of a plan, as people read and comment on it."""

    title: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """What an agent proposes to do. Steps are numbered from 1 in the order given."""

    summary: str
    steps: Sequence[PlanStep]


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan as it stands: the accepted one in `execute`, the reviewed one in `revise`."""

    version: int
    hash: str
    summary: str
    steps: Sequence[PlanStep]


@dataclass(frozen=True, slots=True)
class FeedbackItem:
    """One comment of a reviewer; `step` is the plan step's number, or None for the whole plan."""

    id: str
    body: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """A new version of the plan and, for every feedback item by its id, what was done about it."""

    plan: PlanDraft
    answers: Mapping[str, str]
