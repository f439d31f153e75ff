"""The tasks that an agent delegates, as its host hands them over: the host knows of what is under way."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from pavo.agents.asking.question import Waits
from pavo.agents.asking.waiting import Waiting
from pavo.agents.calling.numbering import Numbering
from pavo.agents.contract import AgentContext
from pavo.agents.delegating.delegation import Children, Delegated, Delegation, NoChildren


class Executing(Protocol):
    """An agent's boundary, as far as it tells where its agent stands."""

    waiting: Waiting
    """What it waits for."""
    on_waits: Callable[[Waits], None] | None
    """None: it is not in `execute`."""
    ctx: AgentContext
    """What the agent is given."""


class WatchedChildren:
    """See `delegation.Children`: only `execute` may delegate, and each is known by where it stands.

    Args:
        settling: within, something is under way, for whose end an attempt waits.
    """

    def __init__(
        self, children: Children, boundary: Executing, settling: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._children = children
        self._boundary = boundary
        self._settling = settling
        self._numbering = Numbering()

    async def delegate(self, delegation: Delegation) -> Delegated:
        """What came of it; the attempt ends where it is not over."""
        if self._boundary.on_waits is None:
            return await NoChildren().delegate(delegation)
        identity = await self._numbering.identity(delegation, lambda: self._boundary.ctx.steps)
        named = replace(delegation, identity=identity)
        return await self.find(named) or await self._boundary.waiting.wait_for(named)

    async def find(self, delegation: Delegation) -> Delegated | None:
        """What came of it."""
        self._boundary.waiting.asked(delegation)
        with self._settling():
            return await self._children.find(delegation)
