"""What becomes of the tasks that an agent delegates in a trial: what the test says, after the agent has waited once."""

import uuid
from collections.abc import Callable, Mapping
from typing import TypeAlias

from pavo.agents.asking.question import Waits
from pavo.agents.delegating.delegation import Delegated, Delegation
from pavo.errors import AgentRefused

DelegatedScript: TypeAlias = Mapping[str, str | Callable[[Delegation], str | Delegated]]
"""By agent: the report, or a function of what is delegated."""


class TriedChildren:
    """See `agents.delegating.delegation.Children`. A task is over from the life's next attempt on."""

    def __init__(self, script: DelegatedScript) -> None:
        self._script = script
        self._made: dict[str, str] = {}
        """Hashes of what was delegated, by its identity."""
        self.delegated: list[Delegation] = []
        """In this life, each once."""

    def forget(self) -> None:
        """Another life begins: nothing was delegated."""
        self._made.clear()
        self.delegated.clear()

    def missing(self, waits: Waits) -> list[str]:
        """The agents that the test says nothing of; what the others do is over from here on."""
        for each in waits.delegations:
            if each.identity not in self._made:
                self._made[each.identity] = each.hash
                self.delegated.append(each)
        return [each.agent for each in waits.delegations if each.agent not in self._script]

    async def find(self, delegation: Delegation) -> Delegated | None:
        """What came of it, once the agent has waited for it."""
        made = self._made.get(delegation.identity)
        if made is None:
            return None
        if made != delegation.hash:
            raise AgentRefused(f"delegate(): {delegation.key!r} names another task.", remedy="Use a key for each.")
        told = self._script[delegation.agent]
        found = told(delegation) if callable(told) else told
        if isinstance(found, Delegated):
            return found
        return Delegated(uuid.uuid5(uuid.NAMESPACE_OID, delegation.identity), "DONE", report=found)

    async def delegate(self, delegation: Delegation) -> Delegated:
        """Never called: the agent's host waits itself."""
        raise RuntimeError(f"The host waits for {delegation.identity!r}.")
