"""How work that takes long tells people what it does."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Told one line, for people, of what was done or is about to take long."""


def say_nothing(_line: str) -> None:
    """For callers whom nobody watches."""
