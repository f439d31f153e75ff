"""What each event of Pavo's says: `tasks.events` writes these, and `event_schemas` describes them to clients.

This is the one place that has their members, as they are in the database and on the wire; number and moment are added
when an event is recorded. Events are kept: a member may be added where it need not be there, none is ever taken away.
"""

from typing import Annotated, Any, Final, Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict  # pydantic takes that of `typing` from Python 3.12 on

from pavo.tasks.domain import FOLLOW_UP, FOR_AGENT, IN_PROMPT
from pavo.tasks.schemas import Stage

_described: Final = with_config(ConfigDict(use_attribute_docstrings=True))
Id: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Moment: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
GivenMember: TypeAlias = Annotated[
    str, WithJsonSchema({"type": "string", "enum": ["title", "prompt", "agent_options", "step_seconds"]})
]


@_described
class StageEvent(TypedDict):
    """The task entered a stage."""

    type: Literal["stage"]
    stage: Stage
    status: str
    """As `stage_status` of a task: RUNNING:7, with the progress at which it goes on."""


@_described
class ContextEvent(TypedDict):
    """What was found in the corpus before planning."""

    type: Literal["context"]
    n: int
    titles: list[str]


@_described
class PlanEvent(TypedDict):
    """A version of the plan is open for review."""

    type: Literal["plan"]
    doc_id: Id
    version: int
    hash: str
    """What accepting it names."""


@_described
class FeedbackEvent(TypedDict):
    """Somebody commented on the plan, changed a comment, or took it back."""

    type: Literal["feedback"]
    doc_id: Id
    feedback_id: Id
    edited: NotRequired[Literal[True]]
    """Only where a comment was changed."""
    withdrawn: NotRequired[Literal[True]]
    """Only where a comment was taken back."""


@_described
class EventUser(TypedDict):
    """Somebody, in an event."""

    id: Id
    email: str
    name: str
    """What to call them: what stands before the @ of the address."""


@_described
class AcceptedEvent(TypedDict):
    """The plan with this hash is the one to execute."""

    type: Literal["accepted"]
    doc_id: Id
    hash: str
    by: str
    """A user's address, or the policy's name."""
    by_user: NotRequired[EventUser]
    """Where it was a user who is known."""
    overridden: NotRequired[int]
    """How many comments no revision had answered, where it was accepted in spite of some."""


@_described
class TickEvent(TypedDict):
    """A checkpoint is recorded."""

    type: Literal["tick"]
    progress: int
    step: int
    """The checkpoint's number, from 1."""
    total: NotRequired[int]
    """How large `progress` will get, where the agent knows."""
    plan_step: NotRequired[int]
    """The step of the plan (from 1) that it was work on, where the agent says so."""


@_described
class ProgressEvent(TypedDict):
    """So many checkpoints are recorded: told now and then, and when an attempt ends."""

    type: Literal["progress"]
    steps: int


@_described
class RecoveredEvent(TypedDict):
    """A process died; the task goes on after its last checkpoint."""

    type: Literal["recovered"]
    step: int
    """That checkpoint's number; 0 where there is none yet."""
    cause: str


@_described
class CodeChangedEvent(TypedDict):
    """The attempt that goes on runs other code than the attempt before it."""

    type: Literal["code_changed"]
    step: int
    """The number of the checkpoint that it goes on after."""
    before: str
    now: str
    """As `code` of a task: the agent's distribution with its version, and the protocol of agents' processes."""


@_described
class RetryEvent(TypedDict):
    """The agent failed and will be tried again."""

    type: Literal["retry"]
    step: int
    """The number of the checkpoint that it failed to reach; 0 where it failed to plan."""
    error: str
    attempt: int
    """How often it has failed there."""
    next_retry_at: NotRequired[Moment]
    """Not before then; builds of before did not tell."""


_What = Annotated[str, Field(description="As `stage_status` of a task says it after `WAITING:`.")]
_For = TypedDict("_For", {"for": _What})
"""Apart, for `for` is a keyword."""


@_described
class WaitingEvent(_For):
    """No agent works on the task until something comes."""

    type: Literal["waiting"]


@_described
class NoProgressEvent(TypedDict):
    """The agent began again and again at the same checkpoint; it is told each ten times."""

    type: Literal["no_progress"]
    step: int
    """The number of that checkpoint."""
    beginnings: int
    cause: str
    """Why it ended the last time."""


@_described
class EventReceipt(TypedDict):
    """Where a task was stopped."""

    stage: Stage
    last_step: int
    """Number of the last checkpoint; 0 when there is none."""
    step_cut: bool
    """Whether the work in hand was cut: it will be repeated as a whole."""
    resume: str
    """What resuming will do, for people."""


@_described
class StoppedEvent(TypedDict):
    """The task is stopped."""

    type: Literal["stopped"]
    receipt: EventReceipt


@_described
class ReportEvent(TypedDict):
    """The report is there."""

    type: Literal["report"]
    doc_id: Id


@_described
class EventFailure(TypedDict):
    """Why a task failed."""

    type: str
    cause: str
    remedy: str
    step: int | None
    """The number of the checkpoint that it failed to reach; null where it was not executing."""


@_described
class FailedEvent(TypedDict):
    """The task failed."""

    type: Literal["failed"]
    error: EventFailure


@_described
class MessageEvent(TypedDict):
    """Somebody said something to the task."""

    type: Literal["message"]
    message_id: Id
    by: str
    """The address of who said it."""
    body: str
    placed: Annotated[str, WithJsonSchema({"type": "string", "enum": [IN_PROMPT, FOR_AGENT, FOLLOW_UP]})]
    """`prompt`: it was added to that; `message`: it is for the agent to read; `follow_up`: the task was done, and goes
    on because of it."""


@_described
class EditedEvent(TypedDict):
    """Somebody changed the task's input."""

    type: Literal["edited"]
    changed: list[GivenMember]
    by: str
    """The address of who did."""
    replanned: bool
    """Whether the task returns to planning and review."""
    options: NotRequired[dict[str, Any]]
    """The agent's options that changed, with their new values; "…" for what is long."""
    superseded: NotRequired[int]
    """The version of the plan that does not hold any more."""


@_described
class GateOpenedEvent(TypedDict):
    """People are asked something, and the task waits for the answer."""

    type: Literal["gate_opened"]
    gate_id: Id
    """Under which it is answered."""
    kind: str
    """question: an agent asks. effect: an unsafe call of a tool may have happened. approval: a call of a tool is to
    begin. budget: one does not suffice."""
    key: str
    """What the agent calls it."""
    text: str
    """What is asked."""
    hash: str
    """What answering it names."""
    choices: NotRequired[list[str]]
    """What may be answered, where it is one of these."""
    expires_at: NotRequired[Moment]


@_described
class GateClosedEvent(TypedDict):
    """Somebody answered, or a policy did; or nobody was in time."""

    type: Literal["gate_closed"]
    gate_id: Id
    key: str
    state: Literal["open", "answered", "expired", "paused"]
    """answered or expired."""
    answer: NotRequired[Any]
    """Where it was answered."""
    by: NotRequired[str]
    """The address of who answered, or the policy's name."""
    by_user: NotRequired[EventUser]
    """Where it was a user."""
    note: NotRequired[str]


@_described
class ToolCalledEvent(TypedDict):
    """A call of a tool begins, perhaps not for the first time."""

    type: Literal["tool_called"]
    call_id: Id
    tool: str
    effect: Literal["read", "idempotent", "unsafe"]
    """unsafe: running it twice does it twice."""
    arguments: str
    """JSON; what is long is cut off."""


@_described
class ToolDoneEvent(TypedDict):
    """A call of a tool has ended, or was denied."""

    type: Literal["tool_done"]
    call_id: Id
    tool: str
    state: Literal["done", "failed", "unknown", "denied"]
    """unknown: whether it happened is not known, and people are asked. denied: a policy or a person said no, and it did
    not run."""
    excerpt: str
    """The error, who denied it, or the result as JSON; what is long is cut off."""


@_described
class ArtifactAddedEvent(TypedDict):
    """The task keeps a file, or other content under a name that it had."""

    type: Literal["artifact_added"]
    artifact_id: Id
    name: str
    media_type: str
    bytes: int
    sha256: str
    """Of its content, in hex."""


@_described
class ChildCreatedEvent(TypedDict):
    """The agent delegates a task, and waits for its end."""

    type: Literal["child_created"]
    task_id: Id
    """That of the new task; its `parent_id` is this one's."""
    agent: str
    title: str
    key: NotRequired[str]
    """What the agent calls it, where it does."""


@_described
class ChildOverEvent(TypedDict):
    """The agent was told what became of a task that it delegated."""

    type: Literal["child_over"]
    task_id: Id
    stage: Literal["DONE", "FAILED", "STOPPED", "DELETED"]
    cause: NotRequired[str]
    """Why it is not DONE; what is long is cut off."""


@_described
class DeletedEvent(TypedDict):
    """The task is gone; nothing follows."""

    type: Literal["deleted"]


PavoEvent: TypeAlias = (
    StageEvent
    | ContextEvent
    | PlanEvent
    | FeedbackEvent
    | AcceptedEvent
    | TickEvent
    | ProgressEvent
    | RecoveredEvent
    | CodeChangedEvent
    | RetryEvent
    | WaitingEvent
    | NoProgressEvent
    | StoppedEvent
    | ReportEvent
    | FailedEvent
    | MessageEvent
    | EditedEvent
    | GateOpenedEvent
    | GateClosedEvent
    | ToolCalledEvent
    | ToolDoneEvent
    | ArtifactAddedEvent
    | ChildCreatedEvent
    | ChildOverEvent
    | DeletedEvent
)
"""Every event that Pavo itself writes to a task's timeline."""
