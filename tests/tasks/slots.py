"""A worker's slots for tests that drive its parts by hand."""

import uuid
from collections.abc import Collection, Mapping

from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.tasks.work.slots.parked import ParkedAgents, Slots
from pavo.tasks.work.slots.turns import Turns


def nobody_waits() -> Slots:
    """Slots for which no other task waits."""

    async def none() -> int:
        return 0

    async def epochs(_: Collection[uuid.UUID]) -> Mapping[uuid.UUID, int]:
        return {}

    return Slots(Turns(1, 30.0, none, lambda: 0, AgentLoop()), ParkedAgents(0, epochs, lambda _: False))
