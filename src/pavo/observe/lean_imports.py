"""Starting without what others load for their own sake."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

_LEFT_OUT: Final = "opentelemetry.sdk.metrics"


@contextmanager
def lean_imports() -> Generator[None]:
    """What is imported in the block finds OpenTelemetry's metrics absent; after it they are there again.

    redis-py loads them wherever they are installed (with the extra `otel`), which costs every start 0.15 s of CPU, for
    numbers that Pavo does not collect. Without them it goes on as if they were not installed.
    """
    modules: dict[str, Any] = sys.modules  # None is how a module is said to be absent
    if _LEFT_OUT in modules:
        yield
        return
    modules[_LEFT_OUT] = None
    try:
        yield
    finally:
        del modules[_LEFT_OUT]
