"""What an agent's process emits, as its worker takes it."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

from pavo.agents.contract import AgentContext

MAX_EMITS: Final = 10_000
"""Messages of deltas, and types in them, that an agent's process may send in a second. Its own side sends ten, and one
with each checkpoint."""


class Emitted:
    """Passes on what a child emits, and counts it."""

    def __init__(self) -> None:
        self._since = 0.0
        self._count = 0

    def take(self, message: Mapping[str, Any], ctx: AgentContext) -> None:
        """Pass on what it says.

        Raises:
            ValueError: it floods.
            AgentRefused, TypeError, LookupError: it is none.
        """
        now = asyncio.get_running_loop().time()
        if now - self._since >= 1.0:
            self._since, self._count = now, 0
        step, parts = message["step"], message["parts"]
        if type(step) is not int or not isinstance(parts, dict):
            raise TypeError("no deltas")
        self._count += 1 + len(cast(dict[str, Any], parts))
        if self._count > MAX_EMITS:
            raise ValueError(f"more than {MAX_EMITS:,} deltas in a second")
        for kind, data in cast(dict[str, Any], parts).items():
            ctx.emitter.emit(step, kind, data)
