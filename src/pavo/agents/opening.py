"""Chooses the host that an agent's isolation asks for."""

from pavo.agents.contract import AgentContext
from pavo.agents.host import AgentHost, HostLimits
from pavo.agents.process_host import ProcessHost
from pavo.agents.registry import AgentCard
from pavo.agents.target import load_target
from pavo.agents.worker_host import WorkerHost


def open_host(card: AgentCard, ctx: AgentContext, limits: HostLimits) -> AgentHost:
    """A host for one task. Nothing is started before the first call.

    Raises:
        TypeError, ImportError, AttributeError, or whatever else importing the agent raises (isolation `worker`).
    """
    if card.isolation == "process":
        return ProcessHost(card.target, ctx, limits)
    return WorkerHost(load_target(card.target), ctx, limits)
