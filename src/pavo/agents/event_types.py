"""The types of the events that Pavo itself writes to a task's timeline, each named once.

They are named on the agents' floor because what an agent yields is checked against them; `tasks/events.py` shapes them.
"""

from typing import Final

STAGE: Final = "stage"
CONTEXT: Final = "context"
PLAN: Final = "plan"
FEEDBACK: Final = "feedback"
ACCEPTED: Final = "accepted"
TICK: Final = "tick"
PROGRESS: Final = "progress"
RECOVERED: Final = "recovered"
RETRY: Final = "retry"
WAITING: Final = "waiting"
NO_PROGRESS: Final = "no_progress"
STOPPED: Final = "stopped"
REPORT: Final = "report"
FAILED: Final = "failed"
MESSAGE: Final = "message"
DELETED: Final = "deleted"
EDITED: Final = "edited"
CODE_CHANGED: Final = "code_changed"

PAVO_EVENT_TYPES: Final = frozenset(
    (
        *(STAGE, CONTEXT, PLAN, FEEDBACK, ACCEPTED, TICK, PROGRESS, RECOVERED, RETRY, WAITING),
        *(STOPPED, REPORT, FAILED, MESSAGE, DELETED, EDITED, CODE_CHANGED, NO_PROGRESS),
    )
)
"""Event types that Pavo itself writes: an agent's own must differ."""
