"""Who drives an agent: one interface, in the worker's own process or in a child process."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pavo.agents.contract import JSON, Agent, AgentContext, FeedbackItem, Isolation, Plan, PlanDraft, Revision, Step

if TYPE_CHECKING:
    from pavo.agents.registry import AgentCard


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What an agent may take."""

    memory_mb: int = 2048
    """Memory of an isolated agent's process, in MiB; each process that the agent itself starts may take as much."""
    silence_seconds: float = 10.0
    """An isolated agent that does not yield to its event loop for so long counts as dead."""
    start_seconds: float = 60.0
    """Time for an isolated agent's process to start and import its code, which may be large."""
    close_seconds: float = 2.0
    """Time for an agent to clean up (`finally` in its generator) when it is cut or closed."""


class AgentHost(Protocol):
    """Drives one agent for one task, one call at a time, from one event loop.

    Every call but `cancel` and `close` raises:
        AgentError: the agent's code raised, as "TypeName: message"; the traceback is in the log.
        AgentRefused: the agent said that trying again is useless, or broke its contract.
        AgentDied: the agent's process ended or hung; `detail` says how, for example "exit code 3".
        Unavailable: the corpus could not be searched; it is not the agent's fault.

    Cancelling the task that awaits a call cuts the agent there; after that only `close` is of use.
    """

    async def plan(self) -> PlanDraft:
        """Have the agent propose a plan."""
        ...

    async def revise(self, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """Have the agent work feedback into the plan."""
        ...

    async def open(self, plan: Plan, checkpoint: JSON | None) -> None:
        """Begin `execute` from this checkpoint; once per host."""
        ...

    async def next_step(self) -> Step | None:
        """The next step, or None when `execute` has ended. The agent works only between this call and its answer."""
        ...

    async def report(self, plan: Plan, checkpoint: JSON | None) -> str:
        """Have the agent write its report."""
        ...

    def cancel(self) -> None:
        """Set `ctx.cancelled`, so that the step in flight may end early by itself. Setting the event does the same."""
        ...

    async def close(self, *, force: bool = False) -> None:
        """End the agent's generator and its process; `force` kills at once. May be repeated; never raises an error."""
        ...


def open_host(agent: "AgentCard | type[Agent]", ctx: AgentContext, limits: HostLimits) -> AgentHost:
    """The host that the agent's isolation asks for. Nothing is started before the first call.

    Raises:
        AgentRefused: the agent's code cannot be found (isolation `worker`).
    """
    isolation: Isolation = agent.isolation
    if isolation == "process":
        from pavo.agents.process_host import ProcessHost

        return ProcessHost(agent_target(agent), ctx, limits)
    from pavo.agents.worker_host import WorkerHost

    return WorkerHost(agent if isinstance(agent, type) else load_target(agent.target), ctx, limits)


def agent_target(agent: "AgentCard | type[Agent]") -> str:
    """The place of an agent's class as an entry point spells it: `module:Class`."""
    return f"{agent.__module__}:{agent.__qualname__}" if isinstance(agent, type) else agent.target


def load_target(target: str) -> type[Agent]:
    """Import the agent's class.

    Raises:
        TypeError: what is there is no subclass of Agent.
        ImportError, AttributeError, or whatever else importing the module raises.
    """
    module, _, path = target.partition(":")
    found: object = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if not isinstance(found, type) or not issubclass(found, Agent):
        raise TypeError(f"{target} is no subclass of pavo.agents.contract.Agent")
    return found
