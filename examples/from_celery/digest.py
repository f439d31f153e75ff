"""An orchestrator as it was written for Celery: status flags, and state that is pickled. It knows nothing of Pavo."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any


class Digest:
    """Reads the chapters that a message names, one after the other."""

    def __init__(self, seconds: float = 0.2) -> None:
        self.seconds = seconds
        self.status = "NEW"
        self.todo: list[str] = []
        self.read: dict[str, datetime] = {}

    def _process_message(self, message: str) -> Iterator[dict[str, Any]]:
        if self.status == "NEW":
            self.todo, self.status = message.split(), "READING"
            yield {"type": "status", "status": self.status}
        while self.todo:
            chapter = self.todo.pop(0)
            time.sleep(self.seconds)  # asks a model, say
            self.read[chapter] = datetime.now(UTC)
            yield {"type": "chapter", "name": chapter, "number": len(self.read)}
        self.status = "DONE"

    def text(self) -> str:
        """What came of it."""
        return "Read: " + ", ".join(self.read)
