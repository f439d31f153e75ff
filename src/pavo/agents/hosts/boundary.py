"""The boundary to an agent's code: whatever it raises becomes an AgentError with its traceback in the log.

Only Pavo's own cancellation passes, and an outage of what it reads (corpus, messages), which is not the agent's fault.
Nothing about a foreign exception is taken on trust: its text, its attributes and its class may raise in their turn.
Hence `issubclass`: `isinstance` asks the object for its class.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast
from weakref import WeakSet

from pavo.agents.asking.question import Answered, NobodyToAsk, People, Question, Waits
from pavo.agents.asking.waiting import Waiting
from pavo.agents.calling.answered import AgentsFunctions
from pavo.agents.calling.completion import ModelAnswer, ModelRequest, Models, Spent
from pavo.agents.calling.functions import Effect, Ledger, Run, carry_out
from pavo.agents.calling.gateway import WatchedGateways
from pavo.agents.calling.numbering import CallsUnderWay, Numbering
from pavo.agents.calling.outages import noted
from pavo.agents.calling.request import NoTools, ToolAnswer, ToolRequest, Tools
from pavo.agents.contract import Agent, AgentContext, Corpus, Former, Hit, Inbox, UserMessage
from pavo.agents.delegating.watched import WatchedChildren
from pavo.agents.filing.artifacts import Artifacts
from pavo.agents.filing.watched import WatchedKeeper
from pavo.agents.output import add_output, tell_output
from pavo.agents.raised import CANCELLED_ITSELF, described, innermost, refusal_of, traceback_of
from pavo.agents.secrets.watched import WatchedSecrets
from pavo.errors import AgentError, AgentRefused, PavoError, Unavailable
from pavo.transcripts.domain import Transcript, TranscriptMessage, TranscriptSource, Window

logger = logging.getLogger(__name__)
T = TypeVar("T")

_abandoned: set[asyncio.Task[Any]] = set()
"""Tasks of agents that ignore their cancellation: the event loop itself holds tasks only weakly."""
_cut: WeakSet[asyncio.Task[Any]] = WeakSet()
"""The tasks that Pavo cancelled: an agent can cancel its own as well, and that must not look like a stop."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Code:
    """Code that runs on an event loop which it shares: an agent's at one task, or that of its class."""

    agent: type[Agent]
    of_class: bool = False
    """Whether it is what all tasks of the class share, `setup` and what that started."""

    def may_cancel(self, owner: "Code | None") -> bool:
        """Whether a task that this owner's code started is its own, or of its class."""
        shared = owner is not None and owner.agent is self.agent and (owner.of_class or self.of_class)
        return owner is self or shared


_code: ContextVar[Code | None] = ContextVar("pavo_agent_code", default=None)
"""Set while an agent's code runs; what that starts inherits it."""


class GuardedTask(asyncio.Task[Any]):
    """A task that agents' code cancels only where it is their own.

    `asyncio.all_tasks()` hands every agent the tasks of its neighbours too, and those that record their steps.
    """

    def __init__(self, coroutine: Any, **options: Any) -> None:
        super().__init__(coroutine, **options)
        context: Context | None = options.get("context")
        self.owner = _code.get() if context is None else context.get(_code)

    def cancel(self, msg: Any | None = None) -> bool:
        """See `asyncio.Task.cancel`; False, and nothing happens, where it is somebody else's."""
        code = _code.get()
        if code is None or code.may_cancel(self.owner):
            return super().cancel(msg)
        if not self.done():
            _tell_refused(code)
        return False


_told: WeakSet[Code] = WeakSet()
"""Whom it was told once that it cancels what is not its own."""


def _tell_refused(code: Code) -> None:
    if code in _told:
        return
    _told.add(code)
    text = "The agent cancels tasks that are not its own, as by asyncio.all_tasks(): they go on."
    add_output(f"{text}\n")
    logger.warning("%s (%s)", text, code.agent.__qualname__)


def guarded(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """The task factory of an event loop on which agents' code runs."""
    return GuardedTask(coroutine, loop=loop, **options)


def runs_code(code: Code) -> None:
    """The current task runs this code from here on."""
    _code.set(code)
    task = asyncio.current_task()
    if isinstance(task, GuardedTask):
        task.owner = code


def cut(task: asyncio.Task[Any]) -> None:
    """Cancel a task that runs agents' code, on Pavo's behalf."""
    _cut.add(task)
    task.cancel()


async def end_cut(task: asyncio.Task[Any], seconds: float) -> None:
    """Cancel the task and give it this time to end; one that holds on is left behind, its results unread."""
    if task.done():
        return
    cut(task)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            logger.error("An agent ignored its cancellation for %s s and is left behind.", seconds)
            _abandoned.add(task)
            task.add_done_callback(_abandoned.discard)
            cut(task)
        elif not task.cancelled():
            task.exception()  # read, so that asyncio does not complain that nobody did


def is_cut(task: asyncio.Task[Any] | None) -> bool:
    """Whether Pavo cancelled it, also where the agent swallowed the exception."""
    return task is not None and task in _cut


def run_until(loop: asyncio.AbstractEventLoop, ended: Callable[[], bool]) -> None:
    """Run the loop until it is stopped and `ended()` says so.

    It passes on what nobody would catch: SystemExit and KeyboardInterrupt of any task or callback, which Python has
    leave the loop, and an agent's own `loop.stop()`. The task that raised has its outcome, and all others go on.
    """
    while not ended():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            logger.warning("A task or callback of an agent asked the whole process to end.", exc_info=True)


class Boundary:
    """Runs the code of one agent for one task."""

    def __init__(self, agent: type[Agent], ctx: AgentContext) -> None:
        self._label = f"{agent.__qualname__} of task {ctx.task_id}"
        self.code = Code(agent)
        """That of this agent at this task."""
        self._outages: WeakSet[Unavailable] = WeakSet()
        corpus, inbox = _WatchedCorpus(ctx.corpus, self._outages), _WatchedInbox(ctx.inbox, self._outages)
        self.waiting = Waiting(lambda waits: self.on_waits and self.on_waits(waits), tell_output, agent.__module__)
        """What it waits for in `execute`."""
        self.on_waits: Callable[[Waits], None] | None = None
        """Set while `execute` runs: told what it waits for, when it has nothing else to do."""
        people, transcript = _WatchedPeople(ctx.people, self), Transcript(_WatchedSource(ctx.transcript.source, self))
        tools, models = _WatchedTools(ctx.tools, ctx.ledger, self), _WatchedModels(ctx.models, self)
        told: dict[str, Any] = {"corpus": corpus, "inbox": inbox, "people": people, "transcript": transcript}
        asked = {"tools": tools, "models": models, "gateways": WatchedGateways(ctx.gateways, self.noted)}
        kept = Artifacts(WatchedKeeper(ctx.artifacts.keeper, self.settling))
        told["children"] = WatchedChildren(ctx.children, self, self.settling)
        self.ctx = replace(ctx, **told, **asked, secrets=WatchedSecrets(ctx.secrets, self.noted), artifacts=kept)
        """What the agent is to be given."""
        self.caller = AgentsFunctions(tools.function, people, (ctx.task_id, ctx.organisation_id))
        """Whom durable functions belong to."""

    async def run(self, call: Callable[[], Awaitable[T]], method: str) -> T:
        """Await `call()`, in the current task.

        Raises:
            AgentError: whatever it raised.
            AgentRefused: that is what it raised.
            Unavailable: an outage of the corpus or of its messages, which it let pass.
            CancelledError: `cut` was called for the current task.
        """
        task = asyncio.current_task()
        try:
            return await call()
        except BaseException as error:
            if _is_ours(error, task):
                raise
            told = self._explained(error, method)
            if told is error:
                raise
            raise told from error

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those on this event loop that the agent's code has running, where it is one that can tell."""
        return [task for task in asyncio.all_tasks() if getattr(task, "owner", None) is self.code]

    def noted(self) -> AbstractContextManager[None]:
        """Within, an outage is Pavo's and not the agent's."""
        return noted(self._outages)

    @contextmanager
    def settling(self) -> Generator[None]:
        """Within, Pavo is at work for the agent: an attempt does not end for a question meanwhile."""
        self.waiting.unsettled(1)
        try:
            with self.noted():
                yield
        finally:
            self.waiting.unsettled(-1)

    async def close(self, iterator: object) -> None:
        """Close the agent's generator; what it raises then is logged, for its steps have been answered."""

        async def aclose() -> None:
            close: Callable[[], Awaitable[None]] | None = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

        with suppress(PavoError):
            await self.run(aclose, "execute")

    def _explained(self, error: BaseException, method: str) -> PavoError:
        error = innermost(error)
        if issubclass(type(error), Unavailable) and any(error is outage for outage in self._outages):
            return cast(Unavailable, error)
        if issubclass(type(error), AgentRefused):
            return refusal_of(cast(AgentRefused, error))
        self._log(error, method)
        return AgentError(described(error))

    def _log(self, error: BaseException, method: str) -> None:
        told = traceback_of(error)
        add_output(f"{method}() failed.\n{told}\n")
        # The agent may have closed the log's stream, and the failure must be told all the same.
        with suppress(BaseException):
            logger.warning("The agent %s failed in %s().\n%s", self._label, method, told)


def cancelled_itself() -> AgentError:
    """The failure of an agent that cancels the task that it runs in."""
    return AgentError(CANCELLED_ITSELF)


class _WatchedCorpus:
    """The agent's corpus; notes its outages, so that an agent's own Unavailable cannot be taken for one."""

    def __init__(self, corpus: Corpus, outages: WeakSet[Unavailable]) -> None:
        self._corpus = corpus
        self._outages = outages

    async def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        with noted(self._outages):
            return await self._corpus.search(query, limit)


class _WatchedInbox:
    """The agent's messages, likewise."""

    def __init__(self, inbox: Inbox, outages: WeakSet[Unavailable]) -> None:
        self._inbox = inbox
        self._outages = outages

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        with noted(self._outages):
            return await self._inbox.messages(after)

    async def former(self) -> Former | None:
        with noted(self._outages):
            return await self._inbox.former()


class _WatchedSource:
    """The task's transcript, likewise."""

    def __init__(self, source: TranscriptSource, boundary: Boundary) -> None:
        self._source = source
        self._boundary = boundary

    async def window(self, window: Window) -> Sequence[TranscriptMessage]:
        with self._boundary.noted():
            return await self._source.window(window)

    async def count(self) -> int:
        with self._boundary.noted():
            return await self._source.count()


class _WatchedPeople:
    """Whom the agent asks: likewise, and only `execute` may wait."""

    def __init__(self, people: People, boundary: Boundary) -> None:
        self._people = people
        self._boundary = boundary

    async def find(self, question: Question) -> Answered | None:
        if self._boundary.on_waits is None:
            return await NobodyToAsk().find(question)
        self._boundary.waiting.asked(question)
        self._boundary.waiting.unsettled(1)
        try:
            with self._boundary.noted():
                return await self._people.find(question)
        finally:
            self._boundary.waiting.unsettled(-1)

    async def wait(self, question: Question) -> Answered:
        return await self._boundary.waiting.wait(question)


class _WatchedTools:
    """The tools that the agent calls: likewise. A call that was begun is waited for, also where the agent gives up."""

    def __init__(self, tools: Tools, ledger: Ledger, boundary: Boundary) -> None:
        self._tools = tools
        self._ledger = ledger
        self._boundary = boundary
        self._numbering = Numbering()
        self._calls = CallsUnderWay(boundary.waiting.unsettled)

    async def described(self) -> Sequence[Mapping[str, Any]]:
        with self._boundary.noted():
            return await self._tools.described()

    async def call(self, request: ToolRequest) -> ToolAnswer:
        return await self._watched(request, self._tools.call)

    async def function(self, request: ToolRequest, effect: Effect, run: Run) -> ToolAnswer:
        return await self._watched(request, lambda named: carry_out(self._ledger, named, effect, run))

    async def _watched(self, request: ToolRequest, make: Callable[[ToolRequest], Awaitable[ToolAnswer]]) -> ToolAnswer:
        if self._boundary.on_waits is None:
            return await NoTools().call(request)
        identity = await self._numbering.identity(request, lambda: self._boundary.ctx.steps)
        return await self._calls.run(self._settled(make(replace(request, identity=identity))))

    async def _settled(self, call: Awaitable[ToolAnswer]) -> ToolAnswer:
        with self._boundary.noted():
            return await call


class _WatchedModels:
    """The models that the agent calls: likewise, in all of its methods."""

    def __init__(self, models: Models, boundary: Boundary) -> None:
        self._models = models
        self._boundary = boundary
        self._numbering = Numbering()
        self._calls = CallsUnderWay(boundary.waiting.unsettled)

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        identity = await self._numbering.identity(request, lambda: self._boundary.ctx.step_key.rpartition("/")[2])
        answer = await self._calls.run(self._settled(request.named(identity)))
        if answer.asks is not None and self._boundary.on_waits is None:
            return replace(answer, asks=None)
        return answer

    async def spent(self) -> Spent:
        with self._boundary.noted():
            return await self._models.spent()

    async def _settled(self, request: ModelRequest) -> ModelAnswer:
        with self._boundary.noted():
            return await self._models.complete(request)


def _is_ours(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Whether Pavo, and not the agent, ends the task in which the agent runs."""
    if issubclass(type(error), asyncio.CancelledError):
        return is_cut(task)
    # A coroutine that nobody will go on with is closed by the interpreter, outside its task.
    return issubclass(type(error), GeneratorExit) and _current_task() is not task


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
