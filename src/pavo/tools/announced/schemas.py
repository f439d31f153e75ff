"""The wire of tools. It is read by clients too, which have nothing that runs tools."""

import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pavo.tools.policies.schemas import EffectName

ToolHealth = Literal["ready", "partly", "broken", "no_worker"]


class ToolAtWorkers(BaseModel):
    """A tool as some of the workers have it; during a rollout there may be several."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    version: str
    workers: int
    builds: list[str]
    """Of those workers that are versioned."""
    error: str | None
    """Why they cannot use it."""


class ToolOut(BaseModel):
    """A tool that agents may call, as most of the live workers have it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    version: str
    """What brought it: a package with its version."""
    description: str
    effect: str
    """read, idempotent or unsafe, as it says itself, or the operator."""
    counts_as: str
    """The same with the word of the caller's organisation: the stricter of the two."""
    seconds: float
    """For so long it may run."""
    parameters: dict[str, Any] | None
    """JSON Schema of its arguments; null where nobody could tell it."""
    health: ToolHealth
    """`ready`: every live worker can use it; `partly`: some can; `broken`: who has it cannot; `no_worker`: no live
    worker has it."""
    detail: str | None
    """Why it is not `ready`, or that there are several versions of it."""
    workers: int | None
    """How many live workers can use it; null where nobody knows."""
    at_workers: list[ToolAtWorkers] = Field(default_factory=list[ToolAtWorkers])


class ToolList(BaseModel):
    """The tools of the live workers."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[ToolOut]
    """By name."""
    detail: str | None
    """Why there may be others."""


class ToolEffectIn(BaseModel):
    """What calling a tool counts as in an organisation."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    effect: EffectName
    organisation_id: Annotated[uuid.UUID | None, Field()] = None
    """Whose word it is; the caller's own, if left out."""


class ToolEffectOut(BaseModel):
    """An organisation's word on a tool."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    organisation_id: uuid.UUID
    tool: str
    effect: EffectName
    """Where the tool's own word, or the operator's, is stricter, that holds."""
