"""The program of an agent's own process: of a new interpreter, or of a child that a preloaded process forked.

`python -m pavo.agents.hosts.child_program PROTOCOL FD PARENT_PID MEMORY_MB SILENCE_SECONDS`. It imports little, so that
it starts quickly. When its parent ends, it ends too, with its whole process group.
"""

import asyncio
import contextlib
import faulthandler
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from pavo.agents.agent_class import load_agent_class
from pavo.agents.asking.on_wire import dump_question, load_answered
from pavo.agents.asking.question import Answered, Question
from pavo.agents.asking.waiting import follow_tasks
from pavo.agents.calling.functions import Begun, Effect, Outcome
from pavo.agents.calling.functions_on_wire import dump_outcome, load_begun, load_settled
from pavo.agents.calling.on_wire import WireModels, dump_request, load_tool_answer
from pavo.agents.calling.request import ToolAnswer, ToolRequest
from pavo.agents.code_version import EXIT_OTHER_CODE, PROTOCOL, fingerprint_of
from pavo.agents.confinement.confined import Confinement
from pavo.agents.context.on_wire import WireInbox, dump_window, load_transcript
from pavo.agents.contract import Agent, Hit, TranscriptMessage
from pavo.agents.deaths import EXIT_OUT_OF_MEMORY
from pavo.agents.delegating.on_wire import WireChildren
from pavo.agents.emitting.coalescer import CHILD_SECONDS, Coalescer
from pavo.agents.filing.artifacts import Artifacts
from pavo.agents.filing.on_wire import WireKeeper
from pavo.agents.hosts import wire
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.boundary import guarded, run_until
from pavo.agents.hosts.lifecycle import tear_down
from pavo.agents.hosts.wire import Message
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.agents.raised import described, innermost
from pavo.errors import AgentError, ArtifactError, PavoError
from pavo.kit.descendants.below import adopt_orphans, adopts_orphans, end_below
from pavo.kit.descendants.remains import mark_what_it_starts
from pavo.kit.processes import die_with_parent
from pavo.observe.hidden import Hidden, hide_in_here
from pavo.timeline.merge import Parts
from pavo.transcripts.domain import Window

logger = logging.getLogger("pavo")
"""All of Pavo's code in this process logs below it."""
BELOW_SECONDS = 1.0
"""For what this process has started to be gone before it ends."""
_FORMAT = "%(levelname)s %(name)s: %(message)s"


def _load_refusal(data: Message) -> PavoError:
    """The error with which the worker answers what was asked of it: beside the others one that agents catch."""
    error = wire.load_error(data)
    refused = ArtifactError(error.detail, field=error.field, remedy=error.remedy)
    return refused if data["kind"] == "ArtifactError" else error


class AgentServer:
    """Answers the worker: runs the agent on a WorkerHost, one call at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence_seconds: float) -> None:
        self._frames = wire.FrameReader(reader, wire.MAX_TO_AGENT)
        self._writer = writer
        self._silence_seconds = silence_seconds
        self._close_seconds = 0.0
        self._pid = os.getpid()
        self._call: asyncio.Task[None] | None = None
        self._emitter: Coalescer | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self._free = asyncio.Semaphore(wire.MAX_QUESTIONS)
        """For questions; one that nobody waits for any more takes its place until it is answered."""

    async def serve(self) -> None:
        """Until the worker closes; without a worker, end at once."""
        first = await self._frames.next()
        if first is None:
            _die()
        host = self._start(first)
        while (message := await self._frames.next()) is not None:
            if message["op"] == "close":
                await host.close()
                await tear_down(self._close_seconds)
                end_below(BELOW_SECONDS)
                _leave()
            self._take(host, message)
        _die()

    def _take(self, host: WorkerHost, message: Message) -> None:
        match message["op"]:
            case "call":
                self._call = asyncio.create_task(self._answer(host, message))
            case "cut":
                if self._call is not None:
                    self._call.cancel()
            case "cancel":
                host.cancel()
            case "ping":
                self._pong()
            case "stack":
                logger.warning("%s", host.stack())
                self._send({"op": "told"})
            case _:
                self._found(message)

    def _start(self, first: Message) -> WorkerHost:
        sys.path[:] = first["path"]
        hide_in_here(Hidden())
        if first["confinement"] is not None:
            _confine(Confinement.load(first["confinement"]))
            self._send({"op": "confined"})  # from here on what ends this process is the agent's
        try:
            agent = load_as_found(first["target"], first["code"])
        except MemoryError:
            raise
        except BaseException as error:
            logger.exception("The agent's code cannot be loaded.")
            self._send({"op": "ready"}, AgentError(described(error)))
            _leave()
        self._send({"op": "ready", "value": None})
        self._close_seconds = first["close_seconds"]
        self._emitter = emitter = Coalescer(self._emitted, CHILD_SECONDS)
        limits = HostLimits(close_seconds=self._close_seconds, setup_seconds=first["setup_seconds"])
        models, artifacts = WireModels(self._ask), Artifacts(WireKeeper(self._ask))
        ctx = wire.load_context(first["context"], self, models, emitter, artifacts)
        ctx = replace(ctx, inbox=WireInbox(self._ask), signatures=self, ledger=self, children=WireChildren(self._ask))
        return WorkerHost(agent, ctx, limits)

    async def _answer(self, host: WorkerHost, message: Message) -> None:
        answer: Message = {"op": "done", "id": message["id"], "value": None}
        try:
            await self._attempt(host, message, answer)
        except MemoryError:
            _out_of_memory()
        except asyncio.CancelledError:
            raise  # it was cut: nobody waits for an answer
        except BaseException as error:
            # Such as a second open(): the caller must hear of it rather than wait for ever.
            self._send({**answer, "value": None}, AgentError(described(error)))
            logger.exception("A call of %s failed.", message["method"])
        await self._writer.drain()

    async def _attempt(self, host: WorkerHost, message: Message, answer: Message) -> None:
        try:
            answer["value"] = await _run(host, message)
            if self._emitter is not None:
                self._emitter.flush()
            self._send(answer)
        except PavoError as error:
            if error.__cause__ is not None and issubclass(type(innermost(error.__cause__)), MemoryError):
                _out_of_memory()
            self._send(answer, error)

    async def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The organisation's corpus (see `contract.Corpus`), by way of the worker."""
        return wire.load_hits(await self._ask("search", query=str(query), limit=int(limit)))

    async def window(self, window: Window) -> Sequence[TranscriptMessage]:
        """Some of the transcript (see `transcripts.domain.TranscriptSource`), by way of the worker."""
        return load_transcript(await self._ask("transcript", window=dump_window(window)))

    async def count(self) -> int:
        """How long it is, likewise."""
        return await self._ask("transcript_count")

    async def find(self, question: Question) -> Answered | None:
        """How a question was closed (see `asking.question.People`), by way of the worker."""
        return load_answered(await self._ask("answer", question=dump_question(question)))

    async def wait(self, question: Question) -> Answered:
        raise RuntimeError(f"The host waits for {question.key!r}.")  # so this is never called

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """What came of a call of a tool (see `calling.request.Tools`), by way of the worker."""
        return load_tool_answer(await self._ask("tool", request=dump_request(request)))

    async def described(self) -> Sequence[Mapping[str, Any]]:
        """The tools that there are (see `calling.request.Tools`), by way of the worker."""
        return await self._ask("tools")

    def _emitted(self, step: int, parts: Parts) -> None:
        """Tell the worker, unless it has not read what it was sent before: nobody has to see it."""
        if self._writer.transport.get_write_buffer_size() < wire.MAX_TO_WORKER:
            self._send({"op": "emit", "step": step, "parts": dict(parts)})

    async def secret(self, name: str) -> str:
        """A secret of the organisation (see `secrets.declared.Secrets`), by way of the worker."""
        return wire.of_type(await self._ask("secret", name=str(name)), str)

    async def begin(self, request: ToolRequest, effect: Effect) -> Begun | ToolAnswer:
        """Write down that a function begins (see `calling.functions.Ledger`), by way of the worker."""
        return load_begun(await self._ask("function", do="begin", request=dump_request(request), effect=effect))

    async def look(self, call_id: str) -> float:
        """When the attempt was seen to go on, likewise."""
        return await self._ask("function", do="look", call=call_id)

    async def settle(self, call_id: str, outcome: Outcome) -> ToolAnswer | None:
        """Write down what came of it, likewise."""
        return load_settled(await self._ask("function", do="settle", call=call_id, outcome=dump_outcome(outcome)))

    async def sign(self, digest: str) -> str:
        """A signature of the deployment's (see `signing.request.Signatures`), by way of the worker."""
        return await self._ask("sign", digest=digest, signature=None)

    async def check(self, digest: str, signature: str) -> bool:
        """Whether it has signed it, likewise."""
        return await self._ask("sign", digest=digest, signature=signature)

    async def _ask(self, op: str, **what: Any) -> Any:
        await self._free.acquire()
        self._count += 1
        try:
            self._send({"op": op, "id": self._count, **what})
        except BaseException:  # too long
            self._free.release()
            raise
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[self._count] = found
        return await found

    def _found(self, message: Message) -> None:
        found = self._asked.pop(message["id"])
        self._free.release()
        if found.done():
            return
        if error := message.get("error"):
            found.set_exception(_load_refusal(error))
        else:
            found.set_result(message["value"])

    def _pong(self) -> None:
        self._send({"op": "pong"})
        # For code that hangs in C and holds the interpreter's lock while the worker is killed: then no signal handler
        # runs. In all other cases the worker ends a hung child long before.
        faulthandler.dump_traceback_later(2 * self._silence_seconds + 10, exit=True)

    def _send(self, message: Message, error: PavoError | None = None) -> None:
        if error is not None:
            message["error"] = wire.dump_error(error)
        data = wire.encode(message, wire.MAX_TO_WORKER)
        if os.getpid() != self._pid:
            os._exit(0)  # a copy that the agent forked: only the process that was asked answers
        self._writer.write(data)


async def _run(host: WorkerHost, message: Message) -> Any:
    method = message["method"]
    if method == "plan":
        return wire.dump_draft(await host.plan())
    if method == "next_step":
        return wire.dump_step(await host.next_step())
    plan = wire.load_plan(message["plan"])
    if method == "revise":
        return wire.dump_revision(await host.revise(plan, wire.load_feedback(message["feedback"])))
    if method == "open":
        return await host.open(plan, message["checkpoint"])
    return await host.report(plan, message["checkpoint"])


def _leave() -> NoReturn:
    """End without waiting for the agent's threads or exit handlers, which might never end."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):  # the agent may have closed or replaced them
            stream.flush()
    os._exit(0)


def _out_of_memory() -> NoReturn:
    os._exit(EXIT_OUT_OF_MEMORY)


def _die(*_: Any) -> NoReturn:
    """End with all descendants: the worker is gone, and a newer attempt may already run elsewhere.

    The group is this process's own; a copy that the agent forked ends alone, for it cannot know.
    """
    if os.getpid() == os.getpgrp():
        if adopts_orphans():
            end_below(BELOW_SECONDS)  # also what gave itself a group of its own
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def load_as_found(target: str, code: Message) -> type[Agent]:
    """Import an agent's class, or end where that is other code than the worker has loaded.

    Compared before, for other code must not run, and after, for it may have been replaced meanwhile. What a preloaded
    process has imported is compared already.
    """
    if target.partition(":")[0] in sys.modules:
        return load_agent_class(target)
    try:
        require_code(target, code)
        return load_agent_class(target)
    finally:
        require_code(target, code)


def require_code(target: str, code: Message) -> None:
    """End unless what lies on disk is what the worker has loaded."""
    if fingerprint_of(target, code["path"]) != code["fingerprint"]:
        os._exit(EXIT_OTHER_CODE)


def _confine(confinement: Confinement) -> None:
    """Confine this process, or end: no agent runs with more than was said."""
    try:
        confinement.enter(sys.path)
    except OSError:
        logger.exception("The agent's process cannot be confined.")
        os._exit(wire.EXIT_UNCONFINED)


def limit_memory(mebibytes: int) -> None:
    """Limit what the process can write to; on Linux that leaves reserved but unused address space out."""
    limit = mebibytes * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (ValueError, OSError) as error:
        logger.warning("The agent's memory cannot be limited on this system: %s", error)


def log_to_stderr() -> None:
    """Write each line as it ends, and have the standard log on stderr."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):  # of a preloaded agent, which may have replaced them
            stream.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    logging.basicConfig(level=logging.INFO, format=_FORMAT)


def _log_apart() -> None:
    """Give Pavo's own log a descriptor of its own: agents close, replace and reconfigure the usual ones."""
    stream = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(handler)
    logger.propagate = False
    faulthandler.enable(stream)


def _keep_from_copies(descriptor: int) -> None:
    """Have a copy that the agent forks lose the connection, else it would read what is meant for the agent."""

    def lose() -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)

    os.register_at_fork(after_in_child=lose)


async def _serve(descriptor: int, silence_seconds: float) -> None:
    end = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    _keep_from_copies(descriptor)
    reader, writer = await asyncio.open_connection(sock=end)
    try:
        await AgentServer(reader, writer, silence_seconds).serve()
    except MemoryError:
        _out_of_memory()
    except BaseException:
        logger.exception("The agent's process cannot go on.")
        os._exit(1)


def main(protocol: str, *arguments: str) -> None:
    """Serve one agent; returns only by ending the process."""
    if protocol != str(PROTOCOL):
        os._exit(EXIT_OTHER_CODE)
    descriptor, parent, memory_mb, silence_seconds = arguments
    die_with_parent(int(parent), _die)
    adopt_orphans()
    mark_what_it_starts()
    limit_memory(int(memory_mb))
    log_to_stderr()
    _log_apart()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_task_factory(guarded)
    follow_tasks(loop)
    serving = loop.create_task(_serve(int(descriptor), float(silence_seconds)))
    try:
        run_until(loop, serving.done)
    except MemoryError:
        _out_of_memory()


if __name__ == "__main__":
    main(*sys.argv[1:])
