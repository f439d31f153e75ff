"""Wire shapes of what is started."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from pavo.jobs.requests.schemas import JobCreate
from pavo.kit.texts.fields import Text
from pavo.tasks.schemas import TaskCreate

_STRICT: Final = ConfigDict(extra="forbid", use_attribute_docstrings=True)
Kind = Literal["task", "job", "flow"]
State = Literal["due", "starting", "started", "skipped", "failed"]


class FlowStart(BaseModel):
    """A run of a published flow."""

    model_config = _STRICT

    name: Text = Field(min_length=1, max_length=200)
    version: StrictInt | None = Field(None, ge=1)
    """Null: the one that is current when the time comes."""
    inputs: dict[str, Any] = Field(default_factory=dict[str, Any])
    engine: Literal["local", "temporal"] = "local"
    """Who executes it."""


class StartsIn(BaseModel):
    """What is started: one of these, as it is created."""

    model_config = _STRICT

    task: TaskCreate | None = None
    job: JobCreate | None = None
    flow: FlowStart | None = None
