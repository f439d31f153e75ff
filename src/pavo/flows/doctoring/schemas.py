"""Wire shapes of what is wrong with runs."""

import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict

What = Literal[
    "workflow_lost", "workflow_not_started", "workflow_left", "lease_expired", "nobody_executes", "tools_missing"
]


class FlowFinding(BaseModel):
    """What is wrong with a run."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    run_id: uuid.UUID
    flow: str
    what: What
    """workflow_lost: it is said to run on Temporal, and does not; workflow_not_started; workflow_left: its workflow
    goes on, though the run is over or elsewhere; lease_expired, nobody_executes: it is due on the local engine;
    tools_missing: no worker has what its steps call."""
    told: str
    remedy: str
    repairable: bool
    """Whether a repair does something about it."""
    repaired: str | None = None
    """What a repair has done; null: nothing."""


class FlowDoctorOut(BaseModel):
    """What is wrong with an organisation's runs."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    ok: bool
    """Nothing is wrong, or all of it was repaired."""
    looked_at: int
    """Runs that Temporal has, or that are due."""
    whole: bool
    """Whether that were all; the oldest are looked at first."""
    unchecked: list[str]
    """What could not be looked at, and why."""
    findings: list[FlowFinding]
