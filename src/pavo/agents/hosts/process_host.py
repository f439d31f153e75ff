"""Drives an agent in a child process (`child_program`): one that loops, eats memory or exits harms nobody else."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from pavo.agents.asking.question import Waits
from pavo.agents.checks import checked_plan, checked_report, checked_revision, checked_step
from pavo.agents.code_version import EXIT_OTHER_CODE, CodeVersion
from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.confining import Confining
from pavo.agents.contract import JSON, AgentContext, FeedbackItem, Plan, PlanDraft, Revision, Step
from pavo.agents.deaths import blocks, died_blocking, died_so, died_starting, died_talking
from pavo.agents.emitting.emitted import Emitted
from pavo.agents.hosts import wire
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.child_process import Child, abort, ends
from pavo.agents.hosts.starting import ChildRequest, ChildStarter, Spawning, start_message
from pavo.errors import AgentDied, AgentError, AgentRefused, PavoError, Unavailable
from pavo.kit.clock import wait_awake
from pavo.kit.processes import KillsForMemory

logger = logging.getLogger(__name__)
T = TypeVar("T")
_PING_SECONDS = 1.0
_LAST_WORDS_SECONDS = 1.0  # for a hung child to write its stack, and for the connection of a dead one to be read
_FRAME_SECONDS = 10.0  # for a message of the child's to come whole: the largest takes less than a second


class ProcessHost:
    """An AgentHost whose agent runs in a child process; see `pavo.agents.hosts.agent_host.AgentHost`.

    The child checks what its agent hands over, and so does this side: whatever runs in an agent's process may have
    changed the code there, or answer by itself.
    """

    def __init__(
        self,
        target: str,
        ctx: AgentContext,
        limits: HostLimits,
        *,
        code: CodeVersion | None = None,
        starter: ChildStarter | None = None,
        confining: Confining | None = None,
    ) -> None:
        label = f"agent {target.rpartition(':')[2]} of task {ctx.task_id}"
        self._request = ChildRequest(code or CodeVersion.found(target, "unknown"), label, limits)
        self._starter = starter or Spawning()
        self._confining = confining
        self._ctx = ctx
        self._plan_steps: int | None = None
        self._link: _Link | None = None
        self._closing: asyncio.Task[None] | None = None

    async def plan(self) -> PlanDraft:
        return await self._call("plan", lambda data: checked_plan(wire.load_draft(data)))

    async def revise(self, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        payload = {"plan": wire.dump_plan(plan), "feedback": wire.dump_feedback(feedback)}
        return await self._call("revise", lambda data: checked_revision(wire.load_revision(data), feedback), payload)

    async def open(self, plan: Plan, checkpoint: JSON | None) -> None:
        self._plan_steps = len(plan.steps)
        await self._call("open", wire.load_nothing, {"plan": wire.dump_plan(plan), "checkpoint": checkpoint})

    async def next_step(self) -> Step | Waits | None:
        return await self._call("next_step", self._loaded_step)

    def _loaded_step(self, data: Any) -> Step | Waits | None:
        return checked_step(step, self._plan_steps) if isinstance(step := wire.load_step(data), Step) else step

    async def report(self, plan: Plan, checkpoint: JSON | None) -> str:
        payload = {"plan": wire.dump_plan(plan), "checkpoint": checkpoint}
        return await self._call("report", lambda data: checked_report(wire.load_report(data)), payload)

    def is_open(self) -> bool:
        return self._link is not None and self._closing is None and self._link.is_alive()

    def cancel(self) -> None:
        self._ctx.cancelled.set()  # the link tells the child

    async def tell_stack(self) -> None:
        if self._link is not None:
            await self._link.tell_stack()

    async def close(self, *, force: bool = False) -> None:
        if self._link is None:
            return
        if force:
            self._link.kill()
        if self._closing is None:
            self._closing = asyncio.create_task(self._link.close(force=force))
        try:
            await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            self._link.kill()
            raise

    async def _call(self, method: str, load: Callable[[Any], T], payload: wire.Message | None = None) -> T:
        if self._closing is not None:
            raise RuntimeError("This host is closed.")
        if self._link is None:
            self._link = _Link(self._request, self._starter, self._ctx, self._confining)
        answer = await self._link.call(method, payload or {})
        try:
            return load(answer)
        except (ValueError, TypeError, LookupError) as error:
            raise self._link.give_up(f"its answer to {method} is none") from error


class _Link:
    """The connection to one child, from its start to its reaping."""

    def __init__(
        self, request: ChildRequest, starter: ChildStarter, ctx: AgentContext, confining: Confining | None
    ) -> None:
        self._request = request
        self._starter = starter
        self._confining = confining
        self._confinement: Confinement | None = None
        self._ctx = ctx
        self._limits = request.limits
        self._child: Child | None = None
        self._kills: KillsForMemory | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._frames: wire.FrameReader | None = None
        self._call: asyncio.Future[Any] | None = None
        self._calls = 0
        self._unanswered: int | None = None
        """The call that is to be answered, also where nobody waits for it any more."""
        self._pings = 0
        """How many are to be answered."""
        self._confined = False  # what it has told: from then on it ends by code of its agent
        self._stack: asyncio.Future[None] | None = None
        self._cause: AgentDied | None = None
        """Why it is ended from here, where it is."""
        self._died: PavoError | None = None
        self._questions: set[asyncio.Task[None]] = set()
        self._emitted = Emitted()
        self._outage: Unavailable | None = None  # that it was told of
        self._ready = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self._answered, self._hung_up = True, False
        self._running = asyncio.create_task(self._run(), name=request.label)
        self._starting: asyncio.Task[Child] | None = None
        self._killed = False

    def is_alive(self) -> bool:
        """Whether the child may answer another call."""
        return self._died is None and not self._killed and not self._running.done()

    async def call(self, method: str, payload: wire.Message) -> Any:
        """Have the child run one method of its host, and wait for the answer."""
        await asyncio.shield(self._ready)
        if self._died is not None:
            raise self._died
        if self._call is not None and not self._call.done():
            raise RuntimeError("A call is in flight already.")
        self._calls += 1
        self.send({"op": "call", "id": self._calls, "method": method, **payload})
        self._call, self._unanswered = asyncio.get_running_loop().create_future(), self._calls
        try:
            return await self._call
        except asyncio.CancelledError:
            self.send({"op": "cut"})
            raise

    def give_up(self, why: str) -> AgentDied:
        """End the child: it does not talk as was agreed."""
        self._cause = self._cause or died_talking(why)
        self.kill()
        return self._cause

    def kill(self) -> None:
        """End the child at once; one that is still to begin does not."""
        self._killed = True
        if self._child is not None:
            self._child.kill()
        elif self._starting is not None:
            self._starting.cancel()

    def send(self, message: wire.Message) -> None:
        """Queue a message. That the child is gone is noticed elsewhere.

        Raises:
            AgentRefused: it is too long.
        """
        self._write(wire.encode(message, wire.MAX_TO_AGENT))

    def _write(self, frame: bytes) -> None:
        if self._writer is None or self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > wire.MAX_UNREAD:
            self.give_up("does not read what it is sent")
        else:
            self._writer.write(frame)

    async def tell_stack(self) -> None:
        """Have the child write where its agent waits; one that does not answer is ended so that it does."""
        if self._child is None or not self._ready.done():
            return
        self._stack = asyncio.get_running_loop().create_future()
        self.send({"op": "stack"})
        await asyncio.wait({self._stack}, timeout=_LAST_WORDS_SECONDS)
        if not self._stack.done():
            await abort(self._child, _LAST_WORDS_SECONDS)

    async def close(self, *, force: bool) -> None:
        """Let the agent clean up, then make sure that its process is gone."""
        if not force and self._ready.done():
            self._cause = AgentDied("was closed")
            self.send({"op": "close"})
            await asyncio.wait({self._running}, timeout=2 * self._limits.close_seconds + _LAST_WORDS_SECONDS)
        self.kill()
        await asyncio.wait({self._running})
        if not self._running.cancelled() and (error := self._running.exception()):
            logger.error("Closing an agent's process failed.", exc_info=error)

    async def _run(self) -> None:
        """Everything from the child's start to its reaping, in one place, so that nothing outlives it."""
        ours, theirs = socket.socketpair()
        try:
            self._child = await self._start(theirs)
            if self._child is not None:
                self._kills = KillsForMemory.beside(self._child.pid)
                await self._accompany(self._child, ours)
        finally:
            self._fail()
            ours.close()
            if self._confining is not None and self._confinement is not None:
                self._confining.folders.leave(self._ctx.task_id)

    async def _start(self, theirs: socket.socket) -> Child | None:
        """The child; None where it was not to begin, or could not."""
        self._starting = asyncio.create_task(self._begin(theirs))
        try:
            if not self._killed:
                return await self._starting
        except OSError as error:
            self._died = Unavailable(f"No process for the agent: {error}.", dependency="process")
        except (Unavailable, AgentRefused) as error:
            self._died = error
        except asyncio.CancelledError:
            if not self._killed:
                raise
        finally:
            self._starting.cancel()
            theirs.close()
        return None

    async def _begin(self, theirs: socket.socket) -> Child:
        if self._confining is not None:
            self._confinement = await self._confining.of(self._ctx.task_id)
        return await self._starter.start(self._request, theirs)

    async def _accompany(self, child: Child, ours: socket.socket) -> None:
        reading = asyncio.create_task(self._read(child, ours))
        pinging = asyncio.create_task(self._ping(child))
        cancelling = asyncio.create_task(self._pass_cancellation())
        try:
            if self._killed:
                child.kill()
            await asyncio.wait({child.ended})
            await asyncio.wait({reading}, timeout=_LAST_WORDS_SECONDS)
        finally:
            child.kill()
            self._fail()
            tasks = {reading, pinging, cancelling, *self._questions}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._writer is not None:
                self._writer.close()

    def _fail(self) -> None:
        if self._died is None and self._ended_unready_with(EXIT_OTHER_CODE):
            self._died = self._request.code.changed
        if self._died is None and not self._confined and self._ended_unready_with(wire.EXIT_UNCONFINED):
            self._starter.doubt(self._request)
            self._died = Unavailable("Its process could not be confined; the log says why.", dependency="process")
        if self._died is None:
            lost = self._child.lost if self._child is not None and self._cause is None else None
            code, kills = None if self._child is None else self._child.returncode, self._kills
            self._cause = self._cause or died_so(code, self._limits.memory_mb, for_memory=bool(kills and kills.more()))
            # Of what the agent's process began from it knows nothing, and can do nothing about it.
            self._died = Unavailable(f"{lost}.", dependency="process") if lost else self._cause
        for future in (self._ready, self._call):
            if future is not None and not future.done():
                future.set_exception(self._died)

    def _ended_unready_with(self, code: int) -> bool:
        """Whether it ended so by itself; once an agent's code runs, that may end it with any code."""
        return self._child is not None and self._child.returncode == code and not self._ready.done()

    async def _read(self, child: Child, ours: socket.socket) -> None:
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._frames = wire.FrameReader(reader, wire.MAX_TO_WORKER)
        try:
            self.send(start_message(self._request, self._ctx, self._confinement))
            while (message := await self._frames.next()) is not None:
                self._answered = True
                self._take(message)
        except AgentRefused as error:
            self._died = error
            self.kill()
        except wire.Unreadable as error:
            self.give_up(f"it sent {error}")
        except Exception:
            # Whatever it is: nobody would read what the agent answers, and its task would wait for ever.
            logger.exception("The agent's process sent something that is no message.")
            self.give_up("it sent something unreadable")
        self._hung_up = True
        if not await ends(child, _LAST_WORDS_SECONDS):
            self._cause = self._cause or AgentDied("its connection was lost")
            child.kill()

    def _take(self, message: wire.Message) -> None:
        """Whatever the child was not asked for counts as unreadable: so it cannot send without an end."""
        match message["op"]:
            case "pong" if self._pings > 0:
                self._pings -= 1
            case "confined" if self._confinement is not None and not self._confined:
                self._confined = True
            case "told" if self._stack is not None and not self._stack.done():
                self._stack.set_result(None)
            case "ready" if not self._ready.done():
                self._settle(self._ready, message)
            case "done" if message["id"] == self._unanswered and self._call is not None:
                self._unanswered = None
                self._settle(self._call, message)
            case "emit":
                self._emitted.take(message, self._ctx)
            case op if op in wire.ASKS and len(self._questions) < wire.MAX_QUESTIONS:
                question = asyncio.create_task(self._answer(message["id"], wire.look_up(message, self._ctx)))
                self._questions.add(question)
                question.add_done_callback(self._questions.discard)
            case op:
                many = f"more than {wire.MAX_QUESTIONS} questions at once"
                raise wire.Unreadable(many if op in wire.ASKS else f"an unwanted answer ({str(op)[:20]!r})")

    def _settle(self, future: asyncio.Future[Any], message: wire.Message) -> None:
        if future.done():
            return
        if error := message.get("error"):
            future.set_exception(self._told(wire.load_error(error)))
        else:
            future.set_result(message["value"])

    def _told(self, error: PavoError) -> PavoError:
        """What the child says that it failed by; of an outage it knows from here alone."""
        told = self._outage or AgentError(f"Unavailable: {error.detail}")
        return told if isinstance(error, Unavailable) else error

    async def _answer(self, identifier: int, looking: Coroutine[Any, Any, Any]) -> None:
        frame, outage = await wire.looked_up(identifier, looking)
        self._outage = outage or self._outage
        self._write(frame)

    async def _ping(self, child: Child) -> None:
        """Kill a child whose event loop does not answer.

        Silence is counted in turns of this loop rather than by the clock: when the worker itself was paused or busy,
        the child's answers lie unread, and that is not the child's fault. Of one that has hung up, see `_read`.
        """
        if not await wait_awake({self._ready}, self._limits.start_seconds):
            await self._end_hung(child, died_starting(self._limits.start_seconds))
            return
        interval = min(_PING_SECONDS, self._limits.silence_seconds / 4)
        silence, half, warned = 0.0, 0.0, False
        while silence < self._limits.silence_seconds:
            self._answered = False
            self._pings += 1
            self.send({"op": "ping"})
            await asyncio.sleep(interval)
            silence = 0.0 if self._answered or self._hung_up else silence + interval
            # What comes while no message gets whole is not what it began to send.
            half = 0.0 if self._answered else half + interval * (self._frames is not None and self._frames.grown)
            if half >= _FRAME_SECONDS:
                self.give_up("it sent half a message and then something else")
                return
            if silence >= self._limits.warn_seconds and not warned:
                warned = True
                logger.warning("%s", blocks(f"The {self._request.label}", silence, self._limits.silence_seconds))
        await self._end_hung(child, died_blocking(self._limits.silence_seconds))

    async def _pass_cancellation(self) -> None:
        """Tell the child when somebody stops the task, by `cancel` or by setting the context's event."""
        await asyncio.wait({self._ready})
        await self._ctx.cancelled.wait()
        self.send({"op": "cancel"})

    async def _end_hung(self, child: Child, cause: AgentDied) -> None:
        self._cause = cause
        await abort(child, _LAST_WORDS_SECONDS)
