"""Importing agents aside of an event loop.

An agent's module is code that Pavo does not control: its import may take long, or never end. Whoever needs to know an
agent waits for it here, for a while; everybody else on the loop goes on.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pavo.agents.registry import AgentRegistry
from pavo.errors import InvalidInput, Unavailable
from pavo.kit.threads.calls import call_in_thread

IMPORT_SECONDS: Final = 10.0
"""For which a request waits."""


class Imports:
    """Imports the agents of a registry, each on a thread that nobody waits for: one of an executor would be lost to
    others if the import never ends. Belongs to one event loop."""

    def __init__(self, registry: AgentRegistry) -> None:
        self.registry = registry
        self._importing: dict[str, asyncio.Task[None]] = {}
        self._known: set[str] = set()

    async def within(self, name: str, seconds: float) -> bool:
        """Whether it is known within so many seconds what the agent is, or why it cannot be used, or that there is none
        of this name. Otherwise its import goes on."""
        if name in self._known or name not in self.registry.names():
            return True
        if name not in self._importing:
            self._importing[name] = asyncio.create_task(_in_background(self.registry, name))
        imported = self._importing[name]
        await asyncio.wait({imported}, timeout=seconds)
        if not imported.done():
            return False
        self._importing.pop(name, None)
        self._known.add(name)
        return True

    async def known(self, name: str) -> None:
        """Wait until the registry can tell of it at once.

        Raises:
            Unavailable: its import takes long.
        """
        if not await self.within(name, IMPORT_SECONDS):
            raise Unavailable(
                f"The agent {name!r} is still being imported by the API, for more than {IMPORT_SECONDS:g} s.",
                dependency="agent",
                retry_after=10,
                remedy="Try again later. If that never helps, see why the import of its module does not end.",
            )

    async def is_quick(self, name: str) -> bool:
        """Whether an agent declares that it is quick; False of one that is not here, or whose import takes long."""
        return await self.within(name, IMPORT_SECONDS) and self.registry.is_quick(name)

    async def all_within(self, seconds: float) -> Sequence[str]:
        """Import all; the names of those that are not known after so many seconds."""
        names = self.registry.names()
        known = await asyncio.gather(*(self.within(name, seconds) for name in names))
        return [name for name, is_known in zip(names, known, strict=True) if not is_known]


async def _in_background(registry: AgentRegistry, name: str) -> None:
    """Until the agent is described, or known not to be usable."""
    with suppress(InvalidInput):  # it is remembered, and told to whoever asks again
        await call_in_thread(f"import of agent {name}", registry.card, name)
