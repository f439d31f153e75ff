"""Chooses the host that an agent's isolation asks for."""

import logging
from dataclasses import replace

from pavo.agents.agent_class import load_agent_class
from pavo.agents.confinement.confining import Confining
from pavo.agents.contract import AgentContext
from pavo.agents.hosts.agent_host import AgentHost, HostLimits
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.starting import ChildStarter
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.agents.output import add_output
from pavo.agents.raised import described, traceback_of
from pavo.agents.registry import AgentCard
from pavo.errors import AgentError

logger = logging.getLogger(__name__)


def open_host(
    card: AgentCard,
    ctx: AgentContext,
    limits: HostLimits,
    starter: ChildStarter | None = None,
    confining: Confining | None = None,
) -> AgentHost:
    """A host for one task. Nothing is started before the first call.

    Args:
        starter: starts the process of an isolated agent; by default a new interpreter for each.
        confining: confines an isolated agent; by default it is not.

    Raises:
        AgentError: the agent cannot be imported (isolation `worker`); the traceback is in the log.
    """
    if card.silence_seconds is not None:
        limits = replace(limits, silence_seconds=card.silence_seconds)
    if card.isolation == "process":
        return ProcessHost(card.target, ctx, limits, code=card.code, starter=starter, confining=confining)
    try:
        agent = load_agent_class(card.target)
    except BaseException as error:
        add_output(f"The agent cannot be loaded.\n{traceback_of(error)}\n")
        logger.exception("The agent %r of task %s cannot be loaded.", card.name, ctx.task_id)
        raise AgentError(described(error)) from error
    return WorkerHost(agent, ctx, limits)
