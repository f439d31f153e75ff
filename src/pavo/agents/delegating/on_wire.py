"""Delegated tasks between a worker and an agent's process."""

import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, cast, get_args

from pavo.agents.calling.on_wire import checked_identity
from pavo.agents.delegating.checked import checked_delegation
from pavo.agents.delegating.delegation import Children, Delegated, DelegatedStage, Delegation
from pavo.errors import AgentRefused

OP: Final = "delegated"


def dump_delegation(delegation: Delegation) -> list[Any]:
    told = [delegation.agent, delegation.title, delegation.prompt, dict(delegation.options), delegation.key]
    return [*told, delegation.identity]


def load_delegation(data: object) -> Delegation:
    if not isinstance(data, list):
        raise TypeError("no delegation")
    *told, identity = cast(list[Any], data)
    agent, title, prompt, options, key = told
    try:
        delegation = checked_delegation(agent, title, prompt, options, key)
    except AgentRefused as error:  # the host in the agent's process has checked it: this comes past that
        raise ValueError(error.detail) from error
    return replace(delegation, identity=checked_identity(identity))


def look_up_delegated(children: Children, data: object) -> Coroutine[Any, Any, list[Any] | None]:
    """What the agent's process is answered; what is no delegation is refused at once."""
    delegation = load_delegation(data)

    async def answer() -> list[Any] | None:
        found = await children.find(delegation)
        if found is None:
            return None
        return [str(found.task_id), found.stage, found.report, found.cause, found.remedy]

    return answer()


def load_delegated(data: list[Any] | None) -> Delegated | None:
    if data is None:
        return None
    task_id, stage, report, cause, remedy = data
    if stage not in get_args(DelegatedStage):
        raise ValueError("no stage of a delegated task")
    return Delegated(uuid.UUID(task_id), cast(DelegatedStage, stage), report, cause, remedy)


class WireChildren:
    """See `delegation.Children`, by way of the worker.

    Args:
        ask: asks the worker.
    """

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        self._ask = ask

    async def find(self, delegation: Delegation) -> Delegated | None:
        """What came of it."""
        return load_delegated(await self._ask(OP, delegation=dump_delegation(delegation)))

    async def delegate(self, delegation: Delegation) -> Delegated:
        """Never called: the host waits itself."""
        raise RuntimeError(f"The host waits for {delegation.identity!r}.")
