"""Wire shapes of remote agents."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from pavo.jobs.agents.roster import AgentState


class JobOfAgentOut(BaseModel):
    """A job that an agent is at."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    title: str
    stage: str


class RemoteAgentOut(BaseModel):
    """An agent on another machine."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: uuid.UUID
    name: str
    shared: bool
    """Whether it is the operator's, and serves every organisation."""
    state: AgentState
    """offline; draining: it finishes and takes nothing new; idle; busy."""
    online: bool
    draining: bool
    labels: list[str]
    programs: list[str]
    """Profiles of coding programs that can run there."""
    capacity: int
    """Jobs that it does at the same time."""
    working: int
    """Jobs that it is at, of all organisations."""
    jobs: list[JobOfAgentOut]
    """Those of them that are yours."""
    version: str
    sandbox: str
    """What holds there: bubblewrap, landlock."""
    rests_until: datetime | None = None
    """It could do no job a moment ago, and gets none before this; null: it does not rest."""
    rests_for: str = ""
    """Why it could not."""
    failed_pings: int
    """In a row; with three it counts as offline."""
    connected_at: datetime | None
    seen_at: datetime | None
    created_at: datetime


class RemoteAgentList(BaseModel):
    """The agents that serve an organisation."""

    items: list[RemoteAgentOut]
