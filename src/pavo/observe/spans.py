"""Where spans begin. They cost nothing until `tracing` puts a tracer here; this module knows none."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol


class Span(Protocol):
    """What can be done to a span that has begun."""

    def set(self, name: str, value: str | int | bool) -> None:
        """Give it an attribute."""
        ...

    def rename(self, name: str) -> None:
        """Its name is known only now."""
        ...

    def fail(self) -> None:
        """What it tells of went wrong."""
        ...


class Tracer(Protocol):
    """What makes spans."""

    def span(self, name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span]:
        """A span within the current one."""
        ...

    def request(self, name: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """The span of a request, within the caller's where the headers name one (W3C Trace Context)."""
        ...

    def trace_id(self) -> str | None:
        """The trace that the caller is in: 32 hexadecimal digits."""
        ...


class _Nothing:
    """A span that is none."""

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def set(self, name: str, value: str | int | bool) -> None:
        """Forget it."""

    def rename(self, name: str) -> None:
        """Forget it."""

    def fail(self) -> None:
        """Forget it."""


_NOTHING: Final = _Nothing()
_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """Make spans with this tracer from now on; None switches them off."""
    global _tracer
    _tracer = tracer


def tracing() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span]:
    """A span within the current one."""
    return _NOTHING if _tracer is None else _tracer.span(name, attributes)


def request_span(name: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
    """The span of a request."""
    return _NOTHING if _tracer is None else _tracer.request(name, headers)


def trace_id() -> str | None:
    """The trace that the caller is in, if any."""
    return None if _tracer is None else _tracer.trace_id()
