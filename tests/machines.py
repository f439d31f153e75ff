"""State machine tests (Hypothesis) of what is asynchronous: the machine runs here, its work on a loop of its own."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


@contextmanager
def loop_beside() -> Generator[asyncio.AbstractEventLoop]:
    """An event loop on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def run_machine(machine: type[RuleBasedStateMachine], known: dict[str, Any], *, examples: int, steps: int) -> None:
    """Run a machine, the same examples each time.

    Args:
        known: its attributes.
    """
    bounded = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(type("Machine", (machine,), known), settings=bounded)  # type: ignore[arg-type]
