"""Which task the running code works for: log lines carry it. Ids are looked up when a line is written, not before."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar

_ids: ContextVar[dict[str, str] | None] = ContextVar("pavo_ids", default=None)

IdSource = Callable[[], Mapping[str, str]]


def begin() -> None:
    """A request begins: what it notes stays its own."""
    _ids.set({})


def note(**ids: str) -> None:
    """Remember ids for the lines that the current request will write; without a request nothing happens."""
    found = _ids.get()
    if found is not None:
        found.update(ids)


def noted() -> Mapping[str, str]:
    """What the current request has noted."""
    return _ids.get() or {}
