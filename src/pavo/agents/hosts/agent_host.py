"""Who drives an agent: one interface, in the worker's own process or in a child process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pavo.agents.asking.question import Waits
from pavo.agents.contract import JSON, FeedbackItem, Plan, PlanDraft, Revision, Step


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What an agent may take."""

    memory_mb: int = 2048
    """Memory of an isolated agent's process, in MiB; each process that the agent itself starts may take as much."""
    silence_seconds: float = 60.0
    """An isolated agent that does not yield to its event loop for so long counts as dead."""
    warn_seconds: float = 10.0
    """After so long it is warned, in the log, with the remedy."""
    start_seconds: float = 60.0
    """Time for an isolated agent's process to start and import its code, which may be large."""
    setup_seconds: float = 30.0
    """For `setup` of an agent's class, once in each process."""
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

    async def next_step(self) -> Step | Waits | None:
        """The next step, None when `execute` has ended, or what it waits for: then only `close` is of use.

        The agent works only between this call and its answer.
        """
        ...

    async def report(self, plan: Plan, checkpoint: JSON | None) -> str:
        """Have the agent write its report."""
        ...

    def is_open(self) -> bool:
        """Whether `execute` has begun and can go on: its process lives, and it was neither cut nor has it ended."""
        ...

    def cancel(self) -> None:
        """Set `ctx.cancelled`, so that the step in flight may end early by itself. Setting the event does the same."""
        ...

    async def tell_stack(self) -> None:
        """Write to the task's log where the step under way waits; an isolated agent that blocks its event loop, and so
        cannot tell, is ended by that. Never raises an error, and takes two seconds at most."""
        ...

    async def close(self, *, force: bool = False) -> None:
        """End the agent's generator and its process; `force` kills at once. May be repeated; never raises an error."""
        ...
