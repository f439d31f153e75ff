"""What came of an agent's work in a trial, and how a breach of its contract is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pavo.agents.contract import JSON, Plan, Step


class ContractBroken(AssertionError):
    """The agent does something that its contract excludes; the message says what, where, and the remedy."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole life of a task."""

    plan: Plan
    """The one that was executed."""
    steps: Sequence[Step]
    """As they were recorded: what was cut before it was recorded is not among them."""
    report: str
    outside: Any = None
    """What the trial's `outside` answered when it was over."""
    said: Mapping[int, Mapping[str, Mapping[str, JSON]]] = field(default_factory=dict[int, Any])
    """What viewers saw of `ctx.emit` before it was recorded, by step (0: planning) and type."""
    artifacts: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """What `ctx.artifacts` has kept, by name."""

    @property
    def messages(self) -> list[JSON]:
        """The transcript."""
        return [dict(message) for step in self.steps for message in step.messages]

    @property
    def checkpoints(self) -> list[JSON]:
        """After each step."""
        return [step.checkpoint for step in self.steps]


def everything(outcome: Outcome) -> Any:
    """All that must be the same however often the agent was begun again; a trial may compare less (`same`)."""
    return {
        "checkpoints": outcome.checkpoints,
        "messages": outcome.messages,
        "events": [(event.type, dict(event.data)) for step in outcome.steps for event in step.events],
        "progress": [(step.progress, step.total, step.plan_step) for step in outcome.steps],
        "report": outcome.report,
        "artifacts": dict(outcome.artifacts),
    }


def difference(undisturbed: Any, other: Any) -> str:
    """Where two of them differ, for people."""
    if isinstance(undisturbed, dict) and isinstance(other, dict):
        before, after = cast(dict[str, Any], undisturbed), cast(dict[str, Any], other)
        name = next((name for name in before if before[name] != after.get(name)), None)
        if name is not None:
            return f"{name}: {_short(before[name])} undisturbed, {_short(after.get(name))} now"
    return f"{_short(undisturbed)} undisturbed, {_short(other)} now"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 500 else f"{text[:250]} … {text[-250:]}"
