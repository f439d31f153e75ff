"""A task that an agent delegates, and what came of it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

from pavo.errors import AgentRefused
from pavo.kit.json_values import fingerprint

JSON: TypeAlias = Any
DelegatedStage: TypeAlias = Literal["DONE", "FAILED", "STOPPED", "DELETED"]

MAX_DEPTH: Final = 5
"""So deep delegated tasks may lie below the one that somebody created: agents that delegate to each other without an
end are stopped by it."""
MAX_CHILDREN: Final = 100
"""Tasks that one task delegates in its whole life."""
MAX_FAMILY: Final = 500
"""Tasks below the one that somebody created, at all depths together."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """A task that another agent is to do."""

    agent: str
    title: str
    prompt: str
    options: Mapping[str, JSON]
    key: str | None = None
    """What the agent calls it; None: it is known by where it stands."""
    identity: str = ""
    """Names it within its task and plan: the same in every attempt. Its host gives it."""

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of what is delegated, and to whom."""
        return fingerprint([self.agent, self.title, self.prompt, dict(self.options)])

    def at(self, place: int | str, number: int) -> str:
        """Its identity: the key, else where it stands.

        Args:
            place: how many checkpoints are recorded.
            number: how many equal ones were delegated since the last of them.
        """
        return f"key:{self.key}" if self.key is not None else f"{place}/{self.agent}/{self.hash}/{number}"


@dataclass(frozen=True, slots=True)
class Delegated:
    """A delegated task that is over."""

    task_id: uuid.UUID
    stage: DelegatedStage
    """DONE, FAILED, STOPPED (by a person, and not because the task that delegated it was), or DELETED."""
    report: str = ""
    """Of one that is DONE, in Markdown."""
    cause: str = ""
    """Why it is not done."""
    remedy: str = ""

    @property
    def done(self) -> bool:
        """Whether it came to its end, and there is a report."""
        return self.stage == "DONE"


class Children(Protocol):
    """The tasks that a task's agent delegates."""

    async def find(self, delegation: Delegation) -> Delegated | None:
        """What came of it; None: it is not over, or not even begun.

        Raises:
            AgentRefused: it cannot be delegated.
            Unavailable: it cannot be looked up.
        """
        ...

    async def delegate(self, delegation: Delegation) -> Delegated:
        """What came of it, once it is over. The attempt may end meanwhile: then this never returns."""
        ...


class NoChildren:
    """For contexts that are made by hand, and for all but `execute`."""

    async def find(self, delegation: Delegation) -> Delegated | None:
        """Raises: nothing can be delegated."""
        raise _not_here(delegation)

    async def delegate(self, delegation: Delegation) -> Delegated:
        """Raises: nothing can be delegated."""
        raise _not_here(delegation)


def _not_here(delegation: Delegation) -> AgentRefused:
    return AgentRefused(
        f"Nothing can be delegated to {delegation.agent!r} here.", remedy="Delegate in execute() alone."
    )
