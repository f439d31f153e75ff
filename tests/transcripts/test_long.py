"""A conversation of 1,000 rounds: its last steps cost what its first ones do, in the same memory."""

from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from tests.driving import Tasks, ticks
from tests.tasks.own_stack import Own

ROUNDS = 1_000
FLAT = 1.15
"""How much more one of the last hundred steps may take than one of the first."""
TRIES = 3
"""The machine of a test does other things too: it is enough that it was flat once."""
GROWTH_KB = 8_000
"""Of the worker's greatest memory, between round 100 and the last: less than a sixth of the conversation."""


async def talked(tasks: Tasks, size: int) -> tuple[float, float, list[dict[str, Any]]]:
    """Milliseconds of a step among the first hundred and among the last, the median; and the agent's events."""
    options = {"rounds": ROUNDS, "size": size, "window": 60_000}
    task_id = await tasks.started(options, agent_type="talking", auto_accept=True)
    await tasks.wait(task_id, "DONE", seconds=120)
    events = await tasks.events(task_id)
    assert ticks(events) == list(range(1, ROUNDS + 1))
    at = [datetime.fromisoformat(event["at"]).timestamp() for event in events if event["type"] == "tick"]
    took = [(later - earlier) * 1000 for earlier, later in pairwise(at)]
    # The first steps fill the window that each reads: from then on all do the same.
    return median(took[20:100]), median(took[900:]), [event for event in events if event["type"] == "round"]


@pytest.mark.serial
async def test_the_last_steps_cost_what_the_first_did(own: Own) -> None:
    """`pytest -s tests/transcripts/test_long.py` prints what it measured."""
    found: list[float] = []
    for _ in range(TRIES):
        first, last, said = await talked(own.tasks, 4_000)
        peaks = [event["peak"] for event in said]
        found.append(last / first)
        print(
            f"\n{ROUNDS} rounds with 4 KB results: {first:.2f} ms a step among 21-100, {last:.2f} ms among 901-1000"
            f" ({last / first:.2f} times); the worker's greatest memory grew by {peaks[-1] - peaks[0]:,} KB"
        )
        assert peaks[-1] - peaks[0] <= GROWTH_KB
        if found[-1] <= FLAT:
            break
    assert min(found) <= FLAT, found
