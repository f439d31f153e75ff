"""Wire shapes of policies."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pavo.kit.texts.fields import Text
from pavo.tools.policies.bounds import MAX_GLOB, MAX_NOTE, MAX_OF_TASK

DecisionName = Literal["allow", "ask", "deny"]
EffectName = Literal["read", "idempotent", "unsafe"]
Glob = Annotated[Text, Field(min_length=1, max_length=MAX_GLOB)]
Note = Annotated[Text, Field(max_length=MAX_NOTE)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class TaskPolicyIn(_In):
    """A word on calls of tools that a task brings along; it can only add to what its organisation says."""

    decision: DecisionName
    """allow: an exception to the task's others that ask or deny; what its organisation says holds all the same."""
    tool: Glob = "*"
    """The tools that it is about; `*` stands for any characters, `?` for one."""
    effect: EffectName | None = None
    """About tools of this effect alone."""
    arguments: dict[str, Any] | None = None
    """JSON Schema: about calls alone whose arguments fit it. Patterns are RE2's."""
    note: Note = ""
    """For people: why."""


class WithTaskPolicies(BaseModel):
    """What a new task says of the tools that it calls."""

    policies: list[TaskPolicyIn] = Field(default=[], max_length=MAX_OF_TASK, exclude_if=lambda value: not value)
    """Which of its calls of tools are asked about, or denied, beside what its organisation says."""


class PolicyCreate(_In):
    """A word on calls of tools."""

    decision: DecisionName
    tool: Glob = "*"
    """The tools that it is about; `*` stands for any characters, `?` for one."""
    agent: Annotated[Text, Field(max_length=100)] | None = None
    """Of this agent's tasks alone."""
    effect: EffectName | None = None
    """About tools of this effect alone."""
    arguments: dict[str, Any] | None = None
    """JSON Schema: about calls alone whose arguments fit it. Patterns are RE2's."""
    note: Note = ""
    """For people: why."""
    organisation_id: uuid.UUID | None = None
    """Whose it is; the caller's own, if left out."""


class PolicyEdit(_In):
    """What is to change; what is left out stays, null takes a condition away."""

    decision: DecisionName = "ask"
    tool: Glob = "*"
    agent: Annotated[Text, Field(max_length=100)] | None = None
    effect: EffectName | None = None
    arguments: dict[str, Any] | None = None
    note: Note = ""


class PolicyOut(BaseModel):
    """A word on calls of tools."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    id: uuid.UUID
    organisation_id: uuid.UUID
    task_id: uuid.UUID | None
    """Of a task's own."""
    decision: DecisionName
    tool: str
    agent: str | None
    effect: EffectName | None
    arguments: dict[str, Any] | None
    note: str
    created_at: datetime
    updated_at: datetime


class PolicyList(BaseModel):
    """All policies of an organisation."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[PolicyOut]
    """The oldest first."""
