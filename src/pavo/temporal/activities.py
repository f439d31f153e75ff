"""Registers activities whose signatures are declared in an abstract base class."""

from collections.abc import Callable, Sequence
from typing import Any

from temporalio import activity


def implementations(instance: object) -> Sequence[Callable[..., Any]]:
    """The instance's activities, for `Worker(activities=…)`: its own methods that are marked as activities."""
    found: list[Callable[..., Any]] = []
    for name in dir(type(instance)):
        method = getattr(instance, name)
        if callable(method) and activity._Definition.from_callable(method) is not None:  # pyright: ignore[reportPrivateUsage]
            found.append(method)
    return found
