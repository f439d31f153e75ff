"""What people see of a remote agent, and what they may do with it. Pure."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

AgentState: TypeAlias = Literal["offline", "draining", "idle", "busy"]


@dataclass(frozen=True, slots=True)
class JobOfAgent:
    """A job that an agent is at."""

    id: uuid.UUID
    title: str
    stage: str


@dataclass(frozen=True, slots=True)
class RemoteAgent:
    """An agent of an organisation, or one of the operator's that serves every organisation."""

    id: uuid.UUID
    name: str
    shared: bool
    """Whether it is the operator's."""
    labels: Sequence[str]
    programs: Sequence[str]
    """Profiles of coding programs that can run there."""
    capacity: int
    version: str
    sandbox: str
    """What holds there: "bubblewrap, landlock"."""
    online: bool
    draining: bool
    """It takes nothing new, whoever said so."""
    drain_asked: bool
    """Somebody here said so."""
    failed_pings: int
    """In a row."""
    connected_at: datetime | None
    seen_at: datetime | None
    created_at: datetime
    working: int
    """Jobs that it is at, of all organisations."""
    jobs: Sequence[JobOfAgent] = ()
    """Those of them that are the organisation's."""
    rests_until: datetime | None = None
    """It gets no job before, for it could not take one; None: it does not rest."""
    rests_for: str = ""
    """Why not."""

    @property
    def state(self) -> AgentState:
        """What it is at, in a word."""
        if not self.online:
            return "offline"
        if self.draining:
            return "draining"
        return "busy" if self.working else "idle"
