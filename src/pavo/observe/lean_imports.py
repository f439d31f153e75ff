"""Imports without what libraries load for purposes that Pavo does not have."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

_LEFT_OUT: Final = "opentelemetry.sdk.metrics"


@contextmanager
def lean_imports() -> Generator[None]:
    """Inside the block OpenTelemetry's metrics cannot be imported; after it they can again.

    redis-py loads them wherever they are installed (with the extra `otel`), which costs every start 0.15 s of CPU, for
    numbers that Pavo does not collect. Without them it goes on as if they were not installed.
    """
    modules: dict[str, Any] = sys.modules  # None marks a module as absent
    if _LEFT_OUT in modules:
        yield
        return
    modules[_LEFT_OUT] = None
    try:
        yield
    finally:
        del modules[_LEFT_OUT]
