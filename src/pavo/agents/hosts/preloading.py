"""Which preloaded process an agent begins from: one for each distribution, with the plain way where that cannot be.

Where it cannot be: the system has no pidfds (macOS); a thread is left running after the import, whose locks a fork
would copy in whatever state they are; importing ends the process, or takes too long.
"""

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pavo.agents.code_version import CodeVersion
from pavo.agents.confinement.environment import agents_environment
from pavo.agents.hosts.child_process import Child
from pavo.agents.hosts.preloaded_process import NotForked, PreloadedProcess
from pavo.agents.hosts.starting import ChildRequest, spawn
from pavo.agents.registry import AgentRegistry

logger = logging.getLogger(__name__)

POSSIBLE = sys.platform == "linux" and hasattr(os, "pidfd_open")
_LOSSES = 3
_LOSSES_SECONDS = 300.0
"""So many processes lost within that time: it would be lost again, and its children with it."""


class Preloading:
    """A ChildStarter that forks children of preloaded processes. Use it on one event loop.

    Args:
        memory_mb: for what is imported, in MiB.
        start_seconds: for importing it.
        named: see `agents_environment`.
    """

    def __init__(self, *, memory_mb: int, start_seconds: float = 60.0, named: Sequence[str] = ()) -> None:
        self._memory_mb = memory_mb
        self._named = named
        self.start_seconds = start_seconds
        self._sources: dict[str, _Source] = {}
        self._begun: list[PreloadedProcess] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def begin(self, agents: Mapping[str, Sequence[CodeVersion]]) -> None:
        """Begin to import the agents of each distribution, so that the first task does not wait for it.

        Args:
            agents: the isolated ones. Of other distributions, the one that is asked for first is imported then.
        """
        for distribution, codes in agents.items() if POSSIBLE and not self._closed else ():
            self._source(distribution, codes).current(self)

    def begin_when_described(self, registry: AgentRegistry) -> None:
        """`begin` with all isolated agents that are installed.

        They are imported on a thread that nobody waits for: an import that never ends must not keep a worker from
        its other work, nor from its end.
        """
        loop = asyncio.get_running_loop()

        def describe() -> None:
            agents = registry.isolated()
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self.begin, agents)

        threading.Thread(target=describe, name="pavo-agents-described", daemon=True).start()

    async def start(self, request: ChildRequest, end: socket.socket) -> Child:
        """See `ChildStarter.start`."""
        if POSSIBLE and not self._closed:
            source = self._source(request.code.distribution, [request.code])
            preloaded = await source.usable(self)
            if preloaded is not None:
                try:
                    return await preloaded.fork(request, end)
                except NotForked as error:
                    logger.warning("%s begins in a new interpreter: %s.", request.label, error)
        return spawn(request, end, agents_environment(self._named))

    def doubt(self, request: ChildRequest) -> None:
        """See `ChildStarter.doubt`: what was imported before the fork may have left something to run after it."""
        self._source(request.code.distribution, [request.code]).give_up("one of them could not be confined")

    def pids(self) -> Sequence[int]:
        """The preloaded processes that live."""
        return [preloaded.pid for preloaded in self._begun if not preloaded.retired]

    async def close(self) -> None:
        """End all of them, with all children that are left."""
        self._closed = True
        self._sources.clear()
        await asyncio.gather(*(preloaded.close() for preloaded in self._begun), *self._closing)

    def new(self, distribution: str, agents: Sequence[CodeVersion]) -> PreloadedProcess:
        """Start one.

        Raises:
            OSError: there is no room for another process.
        """
        label = f"agents of {distribution}"
        preloaded = PreloadedProcess.begin(agents, self._memory_mb, agents_environment(self._named), label)
        # One that is retired may have children that go on: it is kept until it is lost.
        self._begun = [each for each in self._begun if not each.lost]
        self._begun.append(preloaded)
        return preloaded

    def abandon(self, preloaded: PreloadedProcess) -> None:
        """End it in the background; it has no children."""
        task = asyncio.create_task(preloaded.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _source(self, distribution: str, agents: Sequence[CodeVersion]) -> "_Source":
        return self._sources.setdefault(distribution, _Source(distribution, agents))


@dataclass(slots=True)
class _Source:
    """Where the agents of one distribution begin."""

    distribution: str
    agents: Sequence[CodeVersion]
    preloaded: PreloadedProcess | None = None
    losses: list[float] = field(default_factory=list[float])
    plain: str | None = None
    """Why its agents begin the plain way."""

    def current(self, preloading: Preloading) -> PreloadedProcess | None:
        """The process, started if there is none; None where its agents begin the plain way."""
        if self.plain is None and self.preloaded is not None and self.preloaded.retired:
            self._note_loss()
        if self.plain is not None:
            return None
        if self.preloaded is None:
            try:
                self.preloaded = preloading.new(self.distribution, self.agents)
            except OSError as error:
                logger.warning("Agents of %s begin in a new interpreter this time: %s", self.distribution, error)
        return self.preloaded

    async def usable(self, preloading: Preloading) -> PreloadedProcess | None:
        """The process with everything imported; None where the agent is to begin the plain way.

        Raises:
            Unavailable: the code on disk is not what this worker has loaded.
        """
        preloaded = self.current(preloading)
        if preloaded is None:
            return None
        threads = await preloaded.imported(preloading.start_seconds)
        if threads is None:
            self._abandon(preloading, preloaded, "importing them did not come to its end")
        elif threads:
            self._abandon(preloading, preloaded, f"threads are left after the import: {', '.join(threads)[:500]}")
        return None if self.plain is not None else preloaded

    def _note_loss(self) -> None:
        now = time.monotonic()
        self.preloaded = None
        self.losses = [*(at for at in self.losses if now - at < _LOSSES_SECONDS), now]
        if len(self.losses) >= _LOSSES:
            self._begin_plainly("their preloaded process was lost again and again")

    def give_up(self, reason: str) -> None:
        """No further children from a preloaded process; those that it has go on."""
        if self.plain is None:
            self._begin_plainly(reason)

    def _abandon(self, preloading: Preloading, preloaded: PreloadedProcess, reason: str) -> None:
        if preloaded is self.preloaded:
            self.preloaded = None
            preloading.abandon(preloaded)
            self._begin_plainly(reason)

    def _begin_plainly(self, reason: str) -> None:
        self.plain = reason
        logger.warning("Agents of %s begin in new interpreters, which takes longer: %s.", self.distribution, reason)
