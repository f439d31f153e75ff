"""The types of the events that Pavo itself writes to a task's timeline.

They are named on the agents' floor because what an agent yields is checked against them; what each event says is in
`tasks/wire/event_data.py`.
"""

from typing import Final

STAGE: Final = "stage"
"""The event after which a task is in another stage."""

MODEL_TEXT: Final = "model_text"
"""The delta that shows a model's answer while it is made; those of further calls at once are `model_text:2` and so on.
It is no event: nothing records it."""

PAVO_EVENT_TYPES: Final = frozenset(
    (
        *(STAGE, "context", "plan", "feedback", "accepted", "tick", "progress", "recovered", "code_changed"),
        *("retry", "waiting", "no_progress", "stopped", "report", "failed", "message", "edited", "deleted"),
        *("gate_opened", "gate_closed", "tool_called", "tool_done", "artifact_added"),
        *("child_created", "child_over"),
    )
)
"""Event types that Pavo itself writes: an agent's own must differ."""
