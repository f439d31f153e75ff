"""Log lines on standard error, for people or for machines."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from pavo.config import LoggingSettings
from pavo.kit.clock import iso, now
from pavo.observe.hidden import without_hidden
from pavo.observe.noted_ids import IdSource
from pavo.observe.printable import printable, printable_line
from pavo.observe.spans import trace_id

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _json(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str).decode()
    except TypeError:  # what is no Unicode text, half a pair of surrogates: an event is told all the same
        return json.dumps(line, default=str)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; members given by `extra=` are kept.

    Args:
        sources: asked for each line on whose behalf it is written: task_id, workflow_id, run_id.
    """

    def __init__(self, sources: Sequence[IdSource] = ()) -> None:
        super().__init__()
        self._sources = sources

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON text."""
        members: dict[str, Any] = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        line: dict[str, Any] = {"at": iso(now()), "level": record.levelname, "logger": record.name}
        line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return printable_line(without_hidden(_json({**line, **self._ids(), **members})))

    def _ids(self) -> Mapping[str, str]:
        found = {name: value for source in self._sources for name, value in source().items()}
        trace = trace_id()
        return {**found, "trace_id": trace} if trace else found


class TextFormatter(logging.Formatter):
    """One line an event, for people; a traceback follows in lines that begin unlike any event."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the standard library's
        """The event's line; a line break in the message is written out, so that no message can pose as an event."""
        return printable_line(without_hidden(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is the standard library's
        """The traceback; an error's own text has line breaks too, so each line is marked."""
        return _marked(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the name is the standard library's
        """The stack, marked as a traceback is."""
        return _marked(super().formatStack(stack_info))


def _marked(lines: str) -> str:
    return "\n".join(f"  | {line}" for line in printable(without_hidden(lines)).split("\n"))


def configure_logging(settings: LoggingSettings, *sources: IdSource) -> None:
    """Set up the root logger of this process; `sources` tell the ids that JSON lines carry."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        handler.setFormatter(JsonFormatter(sources))
    else:
        handler.setFormatter(TextFormatter())
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
