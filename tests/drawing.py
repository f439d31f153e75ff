"""Properties of what is asynchronous: hypothesis draws in a thread of its own, the test's loop does the work."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "8"))
"""Of each property; `make soak` plays more."""


async def examples(
    strategy: st.SearchStrategy[Any],
    check: Callable[[Any], Coroutine[Any, Any, None]],
    *,
    most: int = EXAMPLES,
    seconds: float = 120,
) -> None:
    """Try it with each example, the same ones each time.

    Args:
        most: so many of them.
        seconds: for one.
    """
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=most,
        phases=[Phase.generate],  # made smaller by repetition it would take minutes: each example is a walk
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def every(example: Any) -> None:
        asyncio.run_coroutine_threadsafe(check(example), loop).result(seconds)

    await asyncio.to_thread(every)
