"""Which task an orchestrator's code works for: so that its nodes, tools and models find the agent's context."""

from contextvars import ContextVar
from typing import Final

from pavo.agents.contract import AgentContext
from pavo.errors import AgentRefused

_working: Final[ContextVar[AgentContext | None]] = ContextVar("pavo_adapters_working", default=None)


def works_for(ctx: AgentContext) -> None:
    """From here on, in this task and what it starts, and on threads with a copy of its context variables."""
    _working.set(ctx)


def working_for() -> AgentContext:
    """The context of the agent in whose `execute` this runs, for an orchestrator's own code: `await
    working_for().call(…)`.

    Raises:
        AgentRefused: no adapted orchestrator runs here.
    """
    found = _working.get()
    if found is None:
        raise AgentRefused("No agent of Pavo's runs here.", remedy="Call it within an orchestrator that Pavo runs.")
    return found
