"""What an agent records: one unit of progress, with events and messages. Part of `contract`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

JSON: TypeAlias = Any
"""None, bool, int of at most 64 bits, finite float, str, and lists and string-keyed dicts of these, 64 levels at most.

Tuples become lists, and subclasses (such as a StrEnum) what they derive from. What is yielded comes back equal; floats
stay floats, and -0.0 comes back as 0.0.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the agent's own for the task's timeline; `type` must not be one of Pavo's own types."""

    type: str
    data: Mapping[str, JSON] = field(default_factory=dict[str, JSON])


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded unit of progress.

    Pavo records checkpoint, events and messages in one transaction, exactly once, before it asks for the next step.
    """

    checkpoint: JSON
    """The agent's whole state after this step: JSON of at most 1 MB. `execute` gets it back after a stop or a crash."""
    events: Sequence[Event] = ()
    progress: int | None = None
    """The number shown as progress; default: how many steps are recorded."""
    total: int | None = None
    """How large `progress` will get, where the agent knows; for progress bars."""
    plan_step: int | None = None
    """Number of the plan's step (from 1) that this was work on: people read "24 checkpoints, plan step 3 of 5".

    None says nothing about it: what the step before said goes on being shown. Any other value than a number of a step
    of the accepted plan is refused, and the checkpoint is not recorded.
    """
    messages: Sequence[Mapping[str, JSON]] = ()
    """Added to the task's transcript (`AgentContext.transcript`) in the same transaction: JSON objects of at most
    256,000 bytes each. So a conversation need not be in the checkpoint, which is the position of its last message."""
