"""A worker's slots for tests that drive its parts by hand."""

from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.tasks.work.turns import Turns


def nobody_waits() -> Turns:
    """Slots for which no other task waits."""

    async def none() -> int:
        return 0

    return Turns(1, 30.0, none, AgentLoop())
