"""Words and bounds of triggers. Pure."""

from datetime import timedelta
from typing import Final, Literal, TypeAlias

NOUN: Final = "trigger"
Origin: TypeAlias = Literal["webhook", "event"]
Ending: TypeAlias = Literal["succeeded", "failed", "cancelled"]
WEBHOOK: Final = "webhook"
EVENT: Final = "event"

MAX_TRIGGERS: Final = 200
"""Of an organisation: each end of something looks through those of events."""
MAX_BODY_BYTES: Final = 256_000
"""Of a message; it is kept until its firing is pruned. Those of forges have some tens of kilobytes."""
PER_MINUTE: Final = 60
MOST_PER_MINUTE: Final = 600
MAX_EXPRESSIONS: Final = 32
EXPRESSIONS_SECONDS: Final = 5.0
"""For all of one firing. Others wait meanwhile: a process has one evaluator."""
MAX_STARTS_BYTES: Final = 1_000_000
"""Of what is started, with its expressions evaluated: each may hold the whole body."""
MAX_CHAIN: Final = 8
"""Of triggers that start one another: what the last one has started ends, and starts nothing more."""
MAX_FAILURES: Final = 10
"""After so many failed firings in a row a trigger is paused: what is wrong with it will not mend itself, and its
expressions take others' time."""
KEPT: Final = timedelta(days=30)
"""How long firings are shown."""


def too_deep(depth: int) -> str | None:
    """Why a firing at this place of a chain of triggers may start nothing; None: it may."""
    if depth <= MAX_CHAIN:
        return None
    return (
        f"It would be number {depth} of a chain of triggers that start one another, and {MAX_CHAIN} are the most. Look"
        " whether what it starts ends in what it waits for: name other outcomes or flows, or give it a condition."
    )
