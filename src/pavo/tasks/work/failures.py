"""Failures of an agent's own, with the words that people will read."""

from dataclasses import dataclass

from pavo.errors import AgentDied, AgentError, AgentRefused
from pavo.tasks.contracts import AgentFailure
from pavo.tasks.domain import MEND_INPUT


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


def quarantine(step: int, deaths: int, cause: str) -> ExplainedFailure:
    """The failure of a step at which processes keep dying."""
    return ExplainedFailure(
        f"Checkpoint {step} is quarantined: its process died {deaths} times at it, last: {cause}.",
        "Mend the agent (or its memory limit), then resume: it is tried again from the checkpoint before.",
        "Quarantined",
        retryable=False,
    )
