"""What an agent gets for a call: a value, or an error."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

from pavo.agents.asking.question import People
from pavo.agents.calling.functions import Effect, Run
from pavo.agents.calling.request import ToolAnswer, ToolRequest
from pavo.errors import AgentRefused, ToolDenied, ToolFailed


async def called_value(answer: ToolAnswer, people: People) -> Any:
    """The value; where people have to be asked first, this ends the attempt.

    Raises:
        ToolFailed, AgentRefused: there is none.
    """
    if answer.asks is not None:
        await people.wait(answer.asks)
        raise RuntimeError(f"The attempt that waits for {answer.asks.key!r} went on.")
    if answer.error is None:
        return answer.value
    kind = AgentRefused if answer.refused else ToolDenied if answer.denied else ToolFailed
    raise kind(answer.error, remedy=answer.remedy)


Make: TypeAlias = Callable[[ToolRequest, Effect, Run], Awaitable[ToolAnswer]]
"""Makes a call of a durable function, and counts it among the agent's."""


class AgentsFunctions:
    """The agent, as its durable functions know it: see `functions.Caller`.

    Args:
        ids: of the task and its organisation.
    """

    def __init__(self, make: Make, people: People, ids: tuple[UUID, UUID]) -> None:
        self._make, self._people, self._ids = make, people, ids

    async def function(self, request: ToolRequest, effect: Effect, run: Run) -> Any:
        """What came of it; the attempt ends where people have to be asked first."""
        return await called_value(await self._make(request, effect, run), self._people)

    def asking(self, people: People) -> "AgentsFunctions":
        """The same, asking other people."""
        return AgentsFunctions(self._make, people, self._ids)

    @property
    def ids(self) -> tuple[UUID, UUID]:
        """Of the task and its organisation."""
        return self._ids
