"""Drives an agent in a child process (`child_program`): one that loops, eats memory or exits harms nobody else.

It protects against mistakes, not against malice: the child runs as the worker's user.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pavo.agents.contract import JSON, AgentContext, FeedbackItem, Plan, PlanDraft, Revision, Step
from pavo.agents.hosts import wire
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.child_process import ChildProcess
from pavo.agents.hosts.wire import Message
from pavo.errors import AgentDied, AgentError, PavoError, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

PAVO_VARIABLES = frozenset(
    (
        "DATABASE_URL",
        "PAVO_READY_FD",
        "PAVO_SECRET_KEY",
        "PAVO_TEMPORAL_CODEC_KEY",
        "PAVO_TEMPORAL_DATABASE_URL",
        "PAVO_TOKEN",
        "PGPASSWORD",
        "REDISCLI_AUTH",
        "REDIS_URL",
        "TEMPORAL_API_KEY",
        "TEMPORAL_TLS_CLIENT_KEY_DATA",
        "TEMPORAL_TLS_CLIENT_KEY_PATH",
    )
)
"""Environment variables of Pavo alone, mostly secrets: agents get the rest, for example their provider's API key."""
_PING_SECONDS = 1.0
_LAST_WORDS_SECONDS = 1.0
"""For a hung child to write its stack, and for the connection of a dead one to be read to its end."""
_SEARCH_LIMIT = 100
_UNREADABLE = "it sent something unreadable"


class ProcessHost:
    """An AgentHost whose agent runs in a child process; see `pavo.agents.hosts.agent_host.AgentHost`."""

    def __init__(self, target: str, ctx: AgentContext, limits: HostLimits) -> None:
        self._target = target
        self._ctx = ctx
        self._limits = limits
        self._link: _Link | None = None
        self._closing: asyncio.Task[None] | None = None

    async def plan(self) -> PlanDraft:
        return await self._call("plan", wire.load_draft)

    async def revise(self, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        payload = {"plan": wire.dump_plan(plan), "feedback": wire.dump_feedback(feedback)}
        return await self._call("revise", wire.load_revision, payload)

    async def open(self, plan: Plan, checkpoint: JSON | None) -> None:
        await self._call("open", wire.load_nothing, {"plan": wire.dump_plan(plan), "checkpoint": checkpoint})

    async def next_step(self) -> Step | None:
        return await self._call("next_step", wire.load_step)

    async def report(self, plan: Plan, checkpoint: JSON | None) -> str:
        payload = {"plan": wire.dump_plan(plan), "checkpoint": checkpoint}
        return await self._call("report", wire.load_report, payload)

    def cancel(self) -> None:
        self._ctx.cancelled.set()  # the link tells the child

    async def close(self, *, force: bool = False) -> None:
        if self._link is None:
            return
        if force:
            self._link.child.kill()
        if self._closing is None:
            self._closing = asyncio.create_task(self._link.close(force=force))
        try:
            await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            self._link.child.kill()
            raise

    async def _call(self, method: str, load: Callable[[Any], T], payload: Message | None = None) -> T:
        if self._closing is not None:
            raise RuntimeError("This host is closed.")
        if self._link is None:
            self._link = _Link.start(self._target, self._ctx, self._limits)
        answer = await self._link.call(method, payload or {})
        try:
            return load(answer)
        except (ValueError, TypeError, LookupError) as error:
            raise self._link.give_up() from error


class _Link:
    """The connection to one child, from its start to its reaping."""

    def __init__(
        self, child: ChildProcess, end: socket.socket, first: Message, ctx: AgentContext, limits: HostLimits
    ) -> None:
        self.child = child
        self._ctx = ctx
        self._limits = limits
        self._socket = end
        self._writer: asyncio.StreamWriter | None = None
        self._call: asyncio.Future[Any] | None = None
        self._calls = 0
        self._cause: str | None = None
        self._died: AgentDied | None = None
        self._searches: set[asyncio.Task[None]] = set()
        self._ready = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self._answered = True
        self._first = first
        self._running = asyncio.create_task(self._run(), name=f"agent process {child.pid}")

    @classmethod
    def start(cls, target: str, ctx: AgentContext, limits: HostLimits) -> "_Link":
        ours, theirs = socket.socketpair()
        label = f"agent {target.rpartition(':')[2]} of task {ctx.task_id}"
        options = [theirs.fileno(), os.getpid(), limits.memory_mb, limits.silence_seconds]
        arguments = [sys.executable, "-P", "-m", "pavo.agents.hosts.child_program", *map(str, options)]
        environment = {name: value for name, value in os.environ.items() if name not in PAVO_VARIABLES}
        try:
            child = ChildProcess.spawn(arguments, theirs, environment, label)
        except OSError as error:
            ours.close()
            raise Unavailable(f"No process for the agent: {error}.", dependency="process") from error
        finally:
            theirs.close()
        return cls(child, ours, _start_message(target, ctx, limits), ctx, limits)

    async def call(self, method: str, payload: Message) -> Any:
        """Have the child run one method of its host, and wait for the answer."""
        await asyncio.shield(self._ready)
        if self._died is not None:
            raise self._died
        if self._call is not None and not self._call.done():
            raise RuntimeError("A call is in flight already.")
        self._calls += 1
        self._call = asyncio.get_running_loop().create_future()
        self.send({"op": "call", "id": self._calls, "method": method, **payload})
        try:
            return await self._call
        except asyncio.CancelledError:
            self.send({"op": "cut"})
            raise

    def give_up(self) -> AgentDied:
        """End the child: what it sends is not what was agreed."""
        self._cause = self._cause or _UNREADABLE
        self.child.kill()
        return AgentDied(self._cause)

    def send(self, message: Message) -> None:
        """Queue a message. That the child is gone is noticed elsewhere."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(wire.encode(message))

    async def close(self, *, force: bool) -> None:
        """Let the agent clean up, then make sure that its process is gone."""
        if not force and self._ready.done():
            self._cause = "was closed"
            self.send({"op": "close"})
            await asyncio.wait({self._running}, timeout=self._limits.close_seconds + _LAST_WORDS_SECONDS)
        self.child.kill()
        await asyncio.wait({self._running})
        if not self._running.cancelled() and (error := self._running.exception()):
            logger.error("Closing an agent's process failed.", exc_info=error)

    async def _run(self) -> None:
        """Everything between the child's start and its reaping, in one place, so that nothing outlives it."""
        reading = asyncio.create_task(self._read())
        pinging = asyncio.create_task(self._ping())
        cancelling = asyncio.create_task(self._pass_cancellation())
        try:
            await asyncio.wait({self.child.ended})
            await asyncio.wait({reading}, timeout=_LAST_WORDS_SECONDS)
        finally:
            self.child.kill()
            self._fail()
            tasks = {reading, pinging, cancelling, *self._searches}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._writer is not None:
                self._writer.close()
            self._socket.close()

    def _fail(self) -> None:
        self._cause = self._cause or self._exit_cause()
        self._died = AgentDied(self._cause)
        for future in (self._ready, self._call):
            if future is not None and not future.done():
                future.set_exception(self._died)

    def _exit_cause(self) -> str:
        code = self.child.returncode
        memory = f"out of memory limit ({self._limits.memory_mb} MiB)"
        if code is None:
            return "it was given up"
        if code == wire.EXIT_OUT_OF_MEMORY:
            return memory
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    async def _read(self) -> None:
        reader, self._writer = await asyncio.open_connection(sock=self._socket, limit=wire.LINE_LIMIT)
        self.send(self._first)
        try:
            while (message := await wire.receive(reader)) is not None:
                self._answered = True
                self._take(message)
        except Exception:
            # Whatever it is: nobody would read what the agent answers, and its task would wait for ever.
            logger.exception("The agent's process sent something that is no message.")
            self.give_up()
        await asyncio.wait({self.child.ended}, timeout=_LAST_WORDS_SECONDS)
        if not self.child.ended.done():
            self._cause = self._cause or "its connection was lost"
            self.child.kill()

    def _take(self, message: Message) -> None:
        match message["op"]:
            case "ready":
                self._settle(self._ready, message)
            case "done":
                if message["id"] == self._calls and self._call is not None:
                    self._settle(self._call, message)
            case "search":
                if not isinstance(message["query"], str) or not isinstance(message["limit"], int):
                    raise TypeError("no search")
                search = asyncio.create_task(self._search(message["id"], message["query"], message["limit"]))
                self._searches.add(search)
                search.add_done_callback(self._searches.discard)
            case _:
                pass

    def _settle(self, future: asyncio.Future[Any], message: Message) -> None:
        if future.done():
            return
        if error := message.get("error"):
            future.set_exception(wire.load_error(error))
        else:
            future.set_result(message["value"])

    async def _search(self, identifier: int, query: str, limit: int) -> None:
        """Search the corpus for the child; whatever fails is raised there, at the agent's call."""
        answer: Message = {"op": "found", "id": identifier}
        try:
            hits = await self._ctx.corpus.search(query, max(1, min(limit, _SEARCH_LIMIT)))
            answer["hits"] = wire.dump_hits(hits)
        except PavoError as error:
            answer["error"] = wire.dump_error(error)
        except Exception as error:
            logger.exception("Searching the corpus for an agent failed.")
            answer["error"] = wire.dump_error(AgentError(f"The search failed: {type(error).__name__}."))
        self.send(answer)

    async def _ping(self) -> None:
        """Kill a child whose event loop does not answer.

        Silence is counted in turns of this loop rather than by the clock: when the worker itself was paused or busy,
        the child's answers lie unread, and that is not the child's fault.
        """
        if not await self._started():
            await self._end_hung(f"did not start within {self._limits.start_seconds:g} s")
            return
        interval = min(_PING_SECONDS, self._limits.silence_seconds / 4)
        silence = 0.0
        while silence < self._limits.silence_seconds:
            self._answered = False
            self.send({"op": "ping"})
            await asyncio.sleep(interval)
            silence = 0.0 if self._answered else silence + interval
        await self._end_hung(f"did not yield for {self._limits.silence_seconds:g} s")

    async def _pass_cancellation(self) -> None:
        """Tell the child when somebody stops the task, by `cancel` or by setting the context's event."""
        await asyncio.wait({self._ready})
        await self._ctx.cancelled.wait()
        self.send({"op": "cancel"})

    async def _started(self) -> bool:
        await asyncio.wait({self._ready}, timeout=self._limits.start_seconds)
        return self._ready.done()

    async def _end_hung(self, cause: str) -> None:
        """End the child, but have it write its stack to the log first (faulthandler answers SIGABRT)."""
        self._cause = cause
        self.child.kill(signal.SIGABRT, group=False)
        await asyncio.wait({self.child.ended}, timeout=_LAST_WORDS_SECONDS)
        self.child.kill()


def _start_message(target: str, ctx: AgentContext, limits: HostLimits) -> Message:
    return {
        "op": "start",
        "target": target,
        "path": sys.path,
        "close_seconds": limits.close_seconds,
        "context": wire.dump_context(ctx),
    }
