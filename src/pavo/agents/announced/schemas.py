"""The wire of agents. It is read by clients too, which have nothing that runs agents."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Health = Literal["ready", "partly", "broken", "no_worker", "unknown"]


class AgentAtWorkers(BaseModel):
    """An agent as some of the workers have it; during a rollout there may be several."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    version: str
    workers: int
    builds: list[str]
    """Of those workers that are versioned."""
    error: str | None
    """Why they cannot use it."""
    options_schema: dict[str, Any] | None
    """None of a broken one, and of one whose schema is too long to be announced."""


class AgentOut(BaseModel):
    """An agent that tasks can choose by `agent_type`, as most of the live workers have it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    version: str = ""
    """The package that brought it, with its version."""
    description: str
    options_schema: dict[str, Any]
    stop_grace: float
    isolation: str
    wants_context: bool
    health: Health = "unknown"
    """`ready`: every live worker can use it; `partly`: some can, or the API cannot; `broken`: who has it cannot;
    `no_worker`: no live worker has it; `unknown`: Redis is away, or the workers have not told yet."""
    detail: str | None = None
    """Why it is not `ready`, or that there are several versions of it."""
    workers: int | None = None
    """How many live workers can use it; null where nobody knows."""
    at_workers: list[AgentAtWorkers] = Field(default_factory=list[AgentAtWorkers])
