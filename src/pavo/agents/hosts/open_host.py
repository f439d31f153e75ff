"""Chooses the host that an agent's isolation asks for."""

from pavo.agents.agent_class import load_agent_class
from pavo.agents.contract import AgentContext
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.agents.registry import AgentCard


def open_host(card: AgentCard, ctx: AgentContext, limits: HostLimits) -> AgentHost:
    """A host for one task. Nothing is started before the first call.

    Raises:
        TypeError, ImportError, AttributeError, or whatever else importing the agent raises (isolation `worker`).
    """
    if card.isolation == "process":
        return ProcessHost(card.target, ctx, limits)
    return WorkerHost(load_agent_class(card.target), ctx, limits)
