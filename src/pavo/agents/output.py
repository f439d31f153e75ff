"""What an agent prints, on its way to the log of its task, whatever the worker's own log leaves out.

Whoever drives an agent says where its output goes; a context variable carries that, so it holds for the tasks and the
threads (`asyncio.to_thread`) that the agent's code starts, and for the process that is started on its behalf.
"""

import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeAlias

from pavo.observe.hidden import without_hidden

logger = logging.getLogger(__name__)
Sink: TypeAlias = Callable[[str], object]
"""Takes text, from any thread, at once, and in bounds of its own."""

_sink: ContextVar[Sink | None] = ContextVar("pavo_agent_output", default=None)


def send_output_to(sink: Sink) -> None:
    """From here on, in this task and what it starts, an agent's output goes there."""
    _sink.set(sink)


def output_sink() -> Sink | None:
    """Where it goes; None where nobody has said so."""
    return _sink.get()


def add_output(text: str) -> None:
    """Add text on behalf of the agent, such as its traceback. Never raises: the agent's work is worth more."""
    sink = _sink.get()
    if sink is not None:
        with suppress(Exception):
            sink(without_hidden(text))


def tell_output(text: str) -> None:
    """Likewise; in a process of the agent's own, whose output goes there anyway, by its log."""
    if _sink.get() is None:
        logger.warning("%s", text.rstrip())
    add_output(text)


def share_standard_streams() -> None:
    """Have what agents print, and log, in this very process go to their tasks too; nothing else changes."""
    if not isinstance(sys.stdout, _Shared):
        sys.stdout, sys.stderr = _Shared(sys.stdout), _Shared(sys.stderr)
        logging.getLogger().addHandler(_Records())


class _Shared:
    """A stream that is written to as before, and beside that tells the agent's task."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        add_output(text)
        return self._stream.write(text if _sink.get() is None else without_hidden(text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Records(logging.Handler):
    """What an agent in this process logs, as far as the worker's level lets it through."""

    def emit(self, record: logging.LogRecord) -> None:
        if _sink.get() is not None and record.name.partition(".")[0] != "pavo":
            with suppress(Exception):
                add_output(f"{record.levelname} {record.name}: {record.getMessage()}\n")
