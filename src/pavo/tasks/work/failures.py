"""Failures of an agent's own, with the words that people will read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pavo.errors import AgentDied, AgentError, AgentRefused
from pavo.tasks.contracts import AgentFailure
from pavo.tasks.domain import MEND_INPUT

QUARANTINED: Final = "Quarantined"
"""The type of the failure of something at which processes keep dying."""


@dataclass(frozen=True, slots=True)
class ExplainedFailure:
    """A failure of the agent's own, as people will see it."""

    cause: str
    remedy: str
    type: str
    retryable: bool

    def told(self) -> dict[str, str]:
        """What is stored of it."""
        return {"type": self.type, "cause": self.cause, "remedy": self.remedy}

    def decided(self) -> AgentFailure:
        """What the workflow needs for its decision."""
        return AgentFailure(self.type, self.retryable)


def failure_of(error: AgentError | AgentDied) -> ExplainedFailure:
    """An agent's error as people will see it."""
    retryable = not isinstance(error, AgentRefused)
    remedy = f"Look at the cause and at what the agent printed (`pavo task logs`), {MEND_INPUT}"
    return ExplainedFailure(error.detail[:2_000], error.remedy or remedy, error.code, retryable)


def no_progress(step: int, beginnings: int, cause: str) -> ExplainedFailure:
    """The failure of a task whose agent ends and begins again at the same checkpoint."""
    return ExplainedFailure(
        f"No progress: the agent ended {beginnings} times with the checkpoint that it has after checkpoint {step}, "
        f"the last time: {cause}"[:2_000],
        "Mend the agent, or let it yield a checkpoint that says what it has done; then resume the task.",
        "NoProgress",
        retryable=False,
    )


def quarantine(what: str, deaths: int, cause: str, remedy: str | None) -> ExplainedFailure:
    """The failure of something at which processes keep dying.

    Args:
        what: for example "Checkpoint 3".
        cause, remedy: of the last death.
    """
    return ExplainedFailure(
        f"{what} is quarantined: its process died {deaths} times at it, last: {cause}.",
        remedy or "Look into the worker's log, mend the agent, then resume: it goes on after the last checkpoint.",
        QUARANTINED,
        retryable=False,
    )


def quarantine_of(what: str, deaths: int, told: Mapping[str, str] | None) -> ExplainedFailure:
    """The same, from what is stored of the last death."""
    last = told or {}
    if last.get("type") == QUARANTINED:  # by an attempt that died before it could say so
        return ExplainedFailure(last["cause"], last["remedy"], QUARANTINED, retryable=False)
    return quarantine(what, deaths, last.get("cause", "its worker was lost"), last.get("remedy"))
