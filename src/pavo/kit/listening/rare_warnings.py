"""Warnings that a client can cause at will: a line a minute at most, which tells how many there were."""

import logging
import time
from collections.abc import MutableMapping
from typing import Any, Final

ONCE_IN_SECONDS: Final = 60.0


class RareWarnings(logging.LoggerAdapter[logging.Logger]):
    """A logger whose warnings are counted by their text; everything else is written as it comes."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger)
        self._told: dict[object, float] = {}
        self._left_out: dict[object, int] = {}

    @property
    def level(self) -> int:
        """That of the logger."""
        return self.logger.level

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """As it is."""
        return msg, kwargs

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Write it, unless the same was written within the last minute; then it is counted, and the next tells."""
        now = time.monotonic()
        if now - self._told.get(msg, float("-inf")) < ONCE_IN_SECONDS:
            self._left_out[msg] = self._left_out.get(msg, 0) + 1
            return
        self._told[msg] = now
        more = self._left_out.pop(msg, 0)
        super().warning(f"{msg} ({more:,} more since this was said last)" if more else msg, *args, **kwargs)
