"""The worker whose workflows are tested: a process, which tests kill."""

from dataclasses import dataclass, field
from typing import Any

from tests.parts import Part, Parts


@dataclass
class AtWork:
    """A worker of one task queue."""

    parts: Parts
    environment: dict[str, Any]
    """Beside the stack's own."""
    queue: str
    _running: list[Part] = field(default_factory=list[Part])

    @property
    def worker(self) -> Part:
        return self._running[-1]

    async def start(self) -> None:
        self._running.append(await self.parts.start("worker", **self.environment))
