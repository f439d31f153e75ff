"""The agent's contract: Pavo's main public interface. Everything an agent author needs is in this module."""

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar, Literal, TypeAlias

from pavo.agents.asking.checked import checked_question
from pavo.agents.asking.question import NO_DEFAULT, NobodyToAsk, People
from pavo.agents.calling.answered import called_value
from pavo.agents.calling.completion import Models, NoModels, checked_completion, value_of
from pavo.agents.calling.completion import Spent as Spent
from pavo.agents.calling.functions import Ledger, NoLedger
from pavo.agents.calling.gateway import Gateway as Gateway
from pavo.agents.calling.gateway import Gateways, NoGateway
from pavo.agents.calling.request import NoTools, Tools, checked_request
from pavo.agents.context.corpus import NOBODY as NOBODY
from pavo.agents.context.corpus import Corpus as Corpus
from pavo.agents.context.corpus import Hit as Hit
from pavo.agents.context.corpus import TaskUser as TaskUser
from pavo.agents.context.emitter import Emitter as Emitter
from pavo.agents.context.emitter import NobodyLooks
from pavo.agents.context.inbox import EmptyInbox as EmptyInbox
from pavo.agents.context.inbox import Former as Former
from pavo.agents.context.inbox import Inbox as Inbox
from pavo.agents.context.inbox import UserMessage as UserMessage
from pavo.agents.context.plans import FeedbackItem as FeedbackItem
from pavo.agents.context.plans import Plan as Plan
from pavo.agents.context.plans import PlanDraft as PlanDraft
from pavo.agents.context.plans import PlanStep as PlanStep
from pavo.agents.context.plans import Revision as Revision
from pavo.agents.context.steps import JSON as JSON
from pavo.agents.context.steps import Event as Event
from pavo.agents.context.steps import Step as Step
from pavo.agents.delegating.checked import checked_delegation
from pavo.agents.delegating.delegation import Children, Delegated, NoChildren
from pavo.agents.event_types import PAVO_EVENT_TYPES as PAVO_EVENT_TYPES
from pavo.agents.filing.artifacts import Artifacts
from pavo.agents.secrets.declared import NoSecrets, Secrets
from pavo.agents.signing.request import NoSignatures, Signatures
from pavo.errors import QuestionExpired
from pavo.transcripts.domain import NoMessages, Transcript
from pavo.transcripts.domain import TranscriptMessage as TranscriptMessage

MAX_CHECKPOINT_BYTES = 1_000_000
"""A checkpoint is rewritten with every step; beyond this it would cost more than the step itself."""
MAX_EVENT_BYTES = 64_000
"""An event is copied to every viewer; what is larger belongs in the report."""
MAX_STEP_EVENTS = 1000
"""Events of one step: they are written in one transaction, which should stay short."""
MAX_STEP_EVENT_BYTES = 4_000_000
"""All events of one step together, for the same reason."""
MAX_MESSAGE_BYTES = 256_000
"""A message of the transcript: whoever reads the transcript takes one at least."""
MAX_STEP_MESSAGES = 1000
"""Messages of one step, in the same transaction too."""
MAX_STEP_MESSAGE_BYTES = 4_000_000
"""All of them together."""
MAX_DOCUMENT_BYTES = 1_000_000
"""A plan or a report: people are to read it."""
MAX_PROGRESS = 2**31 - 1
"""`progress` and `total` are PostgreSQL integers."""

RESERVED_EVENT_KEYS = frozenset({"seq", "type", "at"})
"""Members that Pavo adds to every event beside the agent's data."""


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What an agent knows about the task that it works for."""

    task_id: uuid.UUID
    organisation_id: uuid.UUID
    title: str
    prompt: str
    options: Mapping[str, JSON]
    corpus: Corpus
    context: Sequence[Hit] = ()
    """What was gathered before planning, for agents with `wants_context`."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody stops the task, or its worker ends: a step that sees it may end early with what it has.

    What `plan` returns after that is asked for anew where policy would accept it; elsewhere people see it.
    """
    steps: int = 0
    """How many checkpoints are recorded; it grows while `execute` runs."""
    user: TaskUser = NOBODY
    """Whom the task runs for."""
    attempt: int = 1
    """Number of the attempt that this is: higher than that of every earlier one at the same task, planning included.

    Numbers may be left out; none is ever given twice. So it may fence what an earlier attempt, should it still be
    running somewhere, tries to do outside: accept no lower number than the highest that was seen. Whether something was
    tried before it does not tell; `step_key` finds it.
    """
    step_key: str = ""
    """Names the piece of work that is under way, for idempotency outside of Pavo: the same in every attempt at it.

    In `execute` it is "TASK_ID/vVERSION/NUMBER": the task's id, the accepted plan's version, and the number (from 1)
    of the checkpoint that the next `yield` will record. It changes with each, so read it when it is used. In `plan` and
    `revise` it is "TASK_ID/vVERSION/plan" with the version to be made, in `report` "TASK_ID/vVERSION/report". Once the
    prompt was changed after the start, all of them begin "TASK_ID/eEDITS/vVERSION": what is done for another prompt is
    other work, also where the version is the same. It holds ASCII letters, digits, "-" and "/" only, less than 80 of
    them, and no part of it is secret.
    """
    edits: int = 0
    """How often the prompt was changed since the first start; part of `step_key`."""
    inbox: Inbox = field(default_factory=EmptyInbox)
    """Where `messages` looks."""
    people: People = field(default_factory=NobodyToAsk)
    """Whom `ask` asks."""
    children: Children = field(default_factory=NoChildren)
    """Where `delegate` looks."""
    tools: Tools = field(default_factory=NoTools)
    """What `call` calls."""
    secrets: Secrets = field(default_factory=NoSecrets)
    """Where `secret` looks."""
    artifacts: Artifacts = field(default_factory=Artifacts)
    """The task's files, in `execute` and `report`: `put`, `list`, `read`."""
    models: Models = field(default_factory=NoModels)
    """What `complete` asks, and `spent`."""
    gateways: Gateways = field(default_factory=NoGateway)
    """What `gateway` opens."""
    ledger: Ledger = field(default_factory=NoLedger)
    """Where durable functions are written down."""
    signatures: Signatures = field(default_factory=NoSignatures)
    """Signs what the agent must not load from anybody else, such as a pickle; the key is the worker's."""
    emitter: Emitter = field(default_factory=NobodyLooks)
    """Where `emit` goes."""
    transcript: Transcript = field(default_factory=lambda: Transcript(NoMessages()))
    """The messages that were recorded with the task's checkpoints (`Step.messages`) in its whole life."""

    def emit(self, type: str, data: Mapping[str, JSON]) -> None:
        """Show something of the work in hand at once, before it is recorded, and never record it; returns at once.

        Of several with one `type` in a step, texts in the member `text` are joined, of other members the last one
        holds; where the member `anew` is another number than before, this takes the place of what was said so far. When
        the step is recorded what was shown goes, so record what is to stay; when the attempt ends without
        recording it, it is taken back, and the next attempt says its own. From any thread. Nobody has to be looking,
        and what cannot be shown is lost: of a step 64,000 characters are shown, then `cut` is true.

        Args:
            type: as that of an event, and none of Pavo's own.
            data: as that of an event.

        Raises:
            AgentRefused: type or data are none of an event.
        """
        self.emitter.emit(self._step, type, data)

    @property
    def _step(self) -> int:
        """In which something is shown."""
        return 0 if self.step_key.endswith("/plan") else self.steps + 1

    async def ask(
        self,
        key: str,
        question: str,
        *,
        choices: Sequence[str] | None = None,
        schema: Mapping[str, JSON] | None = None,
        expires: float | timedelta | None = None,
        default: JSON = NO_DEFAULT,
    ) -> JSON:
        """Ask people, in `execute`; their answer.

        While it waits the attempt has ended: no process, no slot of a worker. Answered, `execute` begins again from the
        last recorded checkpoint, and the same `ask` returns at once. Several may be asked at once (`asyncio.gather`, a
        task group): each answer finds its own question, and one answer is enough to go on. An attempt ends only when
        all that the agent has running waits.

        Args:
            key: names the question within the task and its plan, in letters, digits and "_.:/-". The same key with
                another text, other choices or another schema is another question, and is asked.
            question: what people read.
            choices: what may be answered.
            schema: JSON Schema (draft 2020-12) that the answer fits; without it and choices, the answer is a text.
            expires: seconds, or a timedelta, after which nobody need answer any more.
            default: the answer then.

        Raises:
            QuestionExpired: nobody answered in time, and there is no default.
            AgentRefused: the question cannot be asked, or not here.
        """
        has_default = default is not NO_DEFAULT
        given = (key, question, choices, schema, expires)
        asked = checked_question(given, default if has_default else None, has_default=has_default)
        found = await self.people.find(asked) or await self.people.wait(asked)
        if found.expired:
            raise QuestionExpired(
                f"Nobody answered {asked.key!r} in time.", remedy="Ask with a default, or catch this."
            )
        return found.value

    async def call(self, tool: str, args: Mapping[str, JSON] | None = None, *, key: str | None = None) -> JSON:
        """Call a tool, in `execute`; its result.

        What a call answered is recorded, and `execute` finds it there when it begins again: the tool runs once. A call
        that was cut in the middle runs again with the same idempotency key where its tool is `read` or `idempotent`.
        Where it is `unsafe`, people are asked whether it happened, and the attempt ends as for `ask`. So it does where
        a policy says that people are to be asked before.

        Args:
            tool: its name, that of its entry point of the group `pavo.tools`.
            args: by the names of its parameters.
            key: names the call within the task and its plan, as that of `ask`. Without one a call is known by the
                checkpoint after which it is made, its tool, its arguments, and how many of these came before it.

        Raises:
            ToolFailed: there is no such tool, the arguments do not fit, or it failed, which is recorded too.
            ToolDenied: a ToolFailed: a policy or a person says no; the text tells why, and nothing was done.
            AgentRefused: this is no call, its key names another one, or a person said to stop.
        """
        return await called_value(
            await self.tools.call(checked_request(tool, {} if args is None else args, key)), self.people
        )

    async def delegate(
        self, agent: str, title: str, prompt: str, options: Mapping[str, JSON] | None = None, *, key: str | None = None
    ) -> Delegated:
        """Have another agent do a task, in `execute`; what came of it: its report, or why there is none.

        A task like any other, whose parent this one is: it is stopped, resumed and deleted with it. While it goes
        on this attempt has ended, as for `ask`; then the same `delegate`, known as a `call` is, returns at once.

        Raises:
            AgentRefused: it cannot be delegated, such as to an unknown agent, or beyond a limit; the text says which.
        """
        return await self.children.delegate(checked_delegation(agent, title, prompt, options or {}, key))

    async def secret(self, name: str) -> str:
        """A secret of the organisation, as it is now: one that the agent's class declares in `secrets`.

        It is in no environment, history, log or timeline unless the agent puts it there.

        Raises:
            AgentRefused: it is not declared, or there is none of this name.
        """
        return await self.secrets.secret(name)

    async def available_tools(self) -> Sequence[Mapping[str, JSON]]:
        """The tools that `call` may call now, in any method: of each `name`, `description`, `effect`, and `schema`, the
        JSON Schema of its arguments. They are those of the worker, so the next attempt may see others: keep in a
        checkpoint what has to stay.
        """
        return await self.tools.described()

    async def complete(
        self, request: Mapping[str, JSON], *, endpoint: str | None = None, key: str | None = None, show: bool = True
    ) -> Mapping[str, JSON]:
        """Ask a model, in any method; its answer, whole: `choices[0]["message"]`, `usage` and so on.

        An answer is recorded, and never asked for again; only what was in flight when its worker died is asked again.
        Where a budget does not suffice, people are asked, and the attempt ends as for `ask`; in other methods than
        `execute` the call is refused.

        Args:
            request: of a chat completion, as OpenAI's API takes it (`messages`, `tools`, …), without `stream`; without
                `model` the endpoint's own is asked.
            endpoint: the name of another endpoint than the default one.
            key: names the call as that of `call` does; else it is known by what is under way (a plan, the checkpoint to
                come, the report), the request, and how many equal ones came before it there.
            show: whether viewers of the task see the answer's text while it is made, as what `emit` shows.

        Raises:
            ModelRefused: trying again is useless, such as for a wrong key or a request that the model does not take.
            ModelFailed: it gave no answer that can be used, after several tries.
        """
        asked = checked_completion(request, endpoint, key)
        answer = await self.models.complete(replace(asked, shown=self._step if show else None))
        if answer.asks is not None:
            await self.people.wait(answer.asks)
        return value_of(answer)

    async def spent(self) -> Spent:
        """What the task's calls of models took so far, in any method: those of planning and of the gateway included.
        Calls that a crash cut count by their estimates."""
        return await self.models.spent()

    async def gateway(self) -> Gateway:
        """An OpenAI-compatible server for whatever this agent runs, with a token for it in the place of an API key.

        What it answers is recorded as answers of `complete` are: a framework that is run again gets the same answers to
        the same requests, in their order. The token is good for this attempt alone.
        """
        return await self.gateways.gateway()

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        """What people said since the task was planned for the first time, each time as of now, by `seq`.

        None is ever lost or renumbered: keep the `seq` of the last one that you worked off in the checkpoint, and pass
        it as `after`. What was said before the start stands in `prompt`, what was said in the review is for `revise`.
        """
        return await self.inbox.messages(after)

    async def former(self) -> Former | None:
        """What this work follows, in any method: None, unless the task was done and somebody said something to it.

        Then `plan` is called for what was said, and `execute` begins without a checkpoint. The transcript and the
        artifacts are the same; `prompt` is that of the beginning; `messages` has all that was ever said.
        """
        return await self.inbox.former()


Isolation: TypeAlias = Literal["worker", "process"]


class Agent(ABC):
    """What performs a task. One instance serves one call; state lives in checkpoints, not in the instance."""

    name: ClassVar[str]
    """The agent_type under which tasks choose it; the entry point's name."""
    description: ClassVar[str] = ""
    options_schema: ClassVar[Mapping[str, JSON]] = {"type": "object", "additionalProperties": False}
    """JSON Schema (draft 2020-12) of `agent_options`."""
    stop_grace: ClassVar[float] = 5.0
    """Seconds that a step in flight gets to end by itself after a stop; then it is cut and repeated on resume."""
    isolation: ClassVar[Isolation] = "process"
    """process: a child process with a memory limit. worker: inside the worker, for trusted code that never blocks."""
    silence_seconds: ClassVar[float | None] = None
    """For so long the agent may block its event loop before it counts as dead; None: 60 s, or what operators set for
    agents in a process of their own. Better: what blocks belongs in `asyncio.to_thread`."""
    step_seconds: ClassVar[float | None] = None
    """For so long a step may take, and the report, awaiting included, before it is cut and counts as failed; None:
    without limit."""
    wants_context: ClassVar[bool] = False
    """Whether Pavo searches the organisation's corpus before planning."""
    secrets: ClassVar[Sequence[str]] = ()
    """Names of the organisation's secrets that `ctx.secret` hands out; no others."""
    quick: ClassVar[bool] = False
    """Whether planning costs nothing and a step takes milliseconds (isolation `worker` only). Where policy accepts the
    plan, the first 0.7 s are then worked off at once in the workflow task, which saves a dispatch. After a death that
    stretch goes on a second later, as ever from the last recorded checkpoint. An agent that says so and has steps of
    seconds fills the task's history with three events a second."""

    @classmethod  # noqa: B027 - for agents that need it
    async def setup(cls) -> None:
        """Make what all calls in a process share, such as a pool of connections. Once in each, before its first call.

        Isolation `process`: in each process of the agent's, that is for each attempt; `worker`: in each worker, on the
        event loop on which the agent runs. What it raises, and more than 30 seconds, fails the call that waits for it
        as the agent's own error; the next call tries again.
        """

    @classmethod  # noqa: B027
    async def teardown(cls) -> None:
        """Give it back when the process ends in order. One that is killed has no time for it."""

    @abstractmethod
    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """Propose what to do. May be repeated after a crash."""

    @abstractmethod
    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """Answer every feedback item with a new version of the plan. May be repeated after a crash."""

    @abstractmethod
    def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        """Work off the accepted plan from `checkpoint` (None at the start), one `yield` for each step.

        The work between two yields may run again after a crash; what was yielded and recorded never does.
        Raise `pavo.errors.AgentRefused` where trying again is useless; any other exception is tried again.
        """

    @abstractmethod
    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        """The report, in Markdown, once `execute` has ended. May be repeated after a crash."""
