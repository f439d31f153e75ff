"""How a process that ran an agent ended: cause and remedy as people read them, and whether it tells of the agent."""

import signal
from typing import Final

from pavo.errors import AgentDied

CRASHES: Final = frozenset(
    (
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGTRAP,
        signal.SIGSYS,
    )
)
"""Signals that a process brings on itself. Any other one, SIGKILL above all, comes from people, a rollout, or a kernel
that has no memory left: of the agents inside of a worker it says nothing."""

EXIT_OUT_OF_MEMORY: Final = 113
"""Exit code of an agent's process that ran out of memory; not otherwise used by shells or Python."""

_AGAIN: Final = "then resume: it goes on after the last checkpoint."


def is_crash(code: int, *, asked: bool) -> bool:
    """Whether a worker that ended so, and did not end its attempts in order, was ended by code inside of it.

    Args:
        code: the exit code, negative for a signal.
        asked: somebody had asked it to end: then it may have had no time left, and ends with 0.
    """
    return code > 0 or -code in CRASHES or (code == 0 and not asked)


def died_so(code: int | None, memory_mb: int, *, for_memory: bool) -> AgentDied:
    """The death of an agent's process, of which nobody has told another cause.

    Args:
        code: None where it was given up before it ended.
        memory_mb: its limit.
    """
    if code is None:
        return AgentDied("it was given up")
    return died_of_memory(memory_mb) if code == EXIT_OUT_OF_MEMORY else died_with(code, for_memory=for_memory)


def died_with(code: int, *, for_memory: bool = False) -> AgentDied:
    """The death of a process by exit code, negative for a signal.

    Args:
        for_memory: if it was killed, then while the kernel killed for lack of memory.
    """
    if for_memory and code == -signal.SIGKILL:
        return AgentDied(
            "killed for lack of memory (signal SIGKILL)",
            remedy="The machine, or the container of the worker, had no memory left: give it more, run fewer tasks at "
            f"once, or have the agent take less, {_AGAIN}",
        )
    if code >= 0:
        remedy = f"Have the agent's code raise an error instead of ending its process (os._exit, a library), {_AGAIN}"
        return AgentDied(f"exit code {code}", remedy=remedy)
    try:
        cause = f"signal {signal.Signals(-code).name}"
    except ValueError:
        cause = f"signal {-code}"
    if -code in CRASHES:
        crash = "A library in machine code crashed, maybe for lack of memory; its stack is in the worker's log"
        remedy = f"{crash}: mend or replace it, {_AGAIN}"
    elif -code == signal.SIGKILL:
        remedy = f"Somebody killed it, or the kernel, whose log then tells of a lack of memory: give it more, {_AGAIN}"
    else:
        remedy = f"Find out who sent the signal, {_AGAIN}"
    return AgentDied(cause, remedy=remedy)


def died_inside(code: int, *, alone: bool) -> AgentDied:
    """The end of a worker by what ran inside of it.

    Args:
        alone: this agent, and no other.
    """
    died = died_with(code)
    return AgentDied(f"{died.detail}, with no other agent in its worker", remedy=died.remedy) if alone else died


def died_of_memory(limit_mb: int) -> AgentDied:
    """The agent reached its memory limit."""
    return AgentDied(
        f"out of memory limit ({limit_mb} MiB)",
        remedy=f"Have the agent take less memory, or raise PAVO_AGENT_MEMORY_MB, {_AGAIN}",
    )


def blocks(who: str, seconds: float, limit: float) -> str:
    """A warning, before it counts as dead, with the remedy."""
    return (
        f"{who} has blocked its event loop for {seconds:.0f} s: hand what blocks to asyncio.to_thread, or declare a "
        f"longer silence_seconds. After {limit:.0f} s it counts as dead."
    )


def died_blocking(seconds: float) -> AgentDied:
    """The agent blocked its event loop."""
    return AgentDied(
        f"did not yield for {seconds:g} s",
        remedy="Have the agent hand what blocks its event loop to asyncio.to_thread (the worker's log has its stack), "
        f"or declare a longer silence_seconds, {_AGAIN}",
    )


def died_talking(why: str) -> AgentDied:
    """The agent's process does not talk to the worker as was agreed."""
    return AgentDied(
        why,
        remedy="Something in the agent's process uses the connection to its worker, a descriptor that is not its own: "
        f"find what writes to, reads or closes descriptors by their numbers, {_AGAIN}",
    )


def died_starting(seconds: float) -> AgentDied:
    """The agent's process did not start in time."""
    return AgentDied(
        f"did not start within {seconds:g} s",
        remedy=f"Have the agent's module import less, or inside of its methods, {_AGAIN}",
    )
