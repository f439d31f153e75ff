"""Log lines on standard error, for people or for machines."""

import logging
import sys

import orjson

from pavo.config import LoggingSettings
from pavo.kit.clock import iso, now

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line; members given by `extra=` are kept."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON text."""
        members = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        line = {"at": iso(now()), "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps({**line, **members}, default=str).decode()


def configure_logging(settings: LoggingSettings) -> None:
    """Set up the root logger of this process."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
