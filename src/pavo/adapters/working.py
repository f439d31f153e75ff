"""Which task an orchestrator's code works for: so that its nodes, tools and models find the agent's context."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

from pavo.agents.contract import JSON, AgentContext
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


async def complete(request: Mapping[str, JSON], endpoint: str | None = None) -> Mapping[str, JSON]:
    """Ask by `ctx.complete` of the agent that runs here. The task's options `model` and `endpoint` hold, where it has
    them, in the place of what the orchestrator names."""
    ctx = working_for()
    model, chosen = (ctx.options.get(name) for name in ("model", "endpoint"))
    asked = {**request, "model": model} if isinstance(model, str) and model else request
    return await ctx.complete(asked, endpoint=chosen if isinstance(chosen, str) and chosen else endpoint)
