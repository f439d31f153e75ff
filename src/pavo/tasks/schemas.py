"""The wire: what the HTTP API takes and gives."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
    model_validator,
)

from pavo.accounts.schemas import PersonOut
from pavo.kit.texts.fields import FilledText, Text
from pavo.tasks.domain import STAGES
from pavo.tools.policies.schemas import WithTaskPolicies
from pavo.usage.schemas import UsageOfTask, WithTaskBudgets

MAX_TITLE = 300
MAX_PROMPT = 200_000
MAX_FEEDBACK = 20_000
MAX_MESSAGE = 16_000  # in bytes at most what an event may have, for it becomes one


MAX_STEP_SECONDS = 30 * 86_400
StepSeconds = Annotated[float, Field(strict=True, gt=0, le=MAX_STEP_SECONDS, allow_inf_nan=False)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Out(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class TaskCreate(_In, WithTaskPolicies, WithTaskBudgets):
    """A new task."""

    title: FilledText = Field(min_length=1, max_length=MAX_TITLE)
    prompt: Text = Field(default="", max_length=MAX_PROMPT)
    agent_type: Text = Field(default="intern", max_length=100)
    agent_options: dict[str, Any] = Field(default_factory=dict)
    """Checked by the agent's own schema, and for what can be stored at all, in `agents/options.py`."""
    step_seconds: StepSeconds | None = Field(default=None, exclude_if=lambda value: value is None)
    """Seconds that a step may take, awaiting included, before it is cut and counts as failed. Where the agent has a
    limit too, the stricter one holds; null: the agent's alone."""
    auto_accept: StrictBool = False
    """The first plan is accepted by policy."""


class TaskEdit(_In):
    """What is to be changed of a task; what is left out stays."""

    title: FilledText | None = Field(default=None, min_length=1, max_length=MAX_TITLE)
    prompt: Text | None = Field(default=None, max_length=MAX_PROMPT)
    agent_options: dict[str, Any] | None = None
    """The options that are named here; the others stay. Checked as at creation."""
    step_seconds: StepSeconds | None = None
    """Seconds that a step may take; null takes the task's limit away."""

    @model_validator(mode="after")
    def _something(self) -> "TaskEdit":
        named = (self.title, self.prompt, self.agent_options)
        if all(value is None for value in named) and "step_seconds" not in self.model_fields_set:
            raise ValueError("names nothing to change: send title, prompt, agent_options or step_seconds")
        return self


def _enum(*values: str) -> WithJsonSchema:
    """The description of a text that is one of these. Only the description: an older reader takes a later value too."""
    return WithJsonSchema({"type": "string", "enum": list(values)})


Stage: TypeAlias = Annotated[str, _enum(*STAGES)]
PlanStatus: TypeAlias = Annotated[str, _enum("REVIEW", "ACCEPTED", "LOCKED")]
DocumentStatus: TypeAlias = Annotated[str, _enum("REVIEW", "ACCEPTED", "LOCKED", "FINAL")]
DocumentKind: TypeAlias = Annotated[str, _enum("PLAN", "REPORT")]
ReviewOutcome: TypeAlias = Annotated[str, _enum("accepted", "revising")]


class PlanRef(_Out):
    """The newest plan."""

    document_id: uuid.UUID
    version: int
    hash: str
    status: PlanStatus
    steps: int | None = None
    """How many steps it has; null in lists."""


class Failure(_Out):
    """Why a task failed."""

    type: str
    cause: str
    remedy: str
    step: int | None = None


class TaskSummary(_Out):
    """A task as lists show it: nothing in it is longer than a page can hold many of."""

    id: uuid.UUID
    title: str
    agent_type: str
    stage: Stage
    stage_status: str
    progress: int
    steps: int
    """Recorded steps."""
    total: int | None
    plan_step: int | None = None
    """The step of the plan that is being worked on, where the agent says so."""
    next_retry_at: datetime | None = None
    """Where the agent failed and is tried again: not before then. In the past while that waits for a worker."""
    workflow_id: str
    run_id: str | None
    plan: PlanRef | None
    auto_accept: bool
    parent_id: uuid.UUID | None = None
    """The task whose agent delegated it; null: somebody created it. An API of before does not tell."""
    created_at: datetime
    updated_at: datetime
    error: Failure | None


class ListedTask(TaskSummary):
    """A task in a list; its own address has the whole. Texts of `error` end after 300 characters, with an ellipsis."""

    summary: str  # the beginning of the prompt


class TaskOut(TaskSummary):
    """A task."""

    prompt: str
    agent_options: dict[str, Any]
    step_seconds: float | None = None
    """Seconds that a step may take, if the task says so. An API of before does not tell; nor of what follows."""
    code: str | None = None  # what its last attempt ran: its agent's distribution, version and protocol
    usage: UsageOfTask | None = None


Sort: TypeAlias = Literal["-created", "created", "-updated", "updated"]


class Wanted(_In):
    """Which tasks a list holds, in which order, and which page of it."""

    q: Text | None = Field(default=None, min_length=1, max_length=200)
    """In the title, in any case; or the beginning or end of the id."""
    stage: Text | None = Field(default=None, max_length=200)
    """One or several, comma between: WAIT_RFC,FAILED, or as people say: in review, failed."""
    agent: Text | None = Field(default=None, max_length=100)
    created_by: Text | None = Field(default=None, max_length=300)
    """A user's id, their address, or `me`."""
    since: Text | None = Field(default=None, max_length=40)
    """Created since then: 2026-11-26T08:00:00Z, or how long ago: 24h, 7d."""
    sort: Sort = "-created"
    """`-` begins with the newest."""
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = None


class TaskPage(_Out):
    """A page of tasks, newest first."""

    items: list[ListedTask]
    next_cursor: str | None
    total: int | None = None
    """On all pages. An API of before does not tell."""


class StartOut(_Out):
    """A task was started."""

    workflow_id: str
    run_id: str | None
    already_running: bool


class ReceiptOut(_Out):
    """What a stop answers."""

    stage: Stage
    last_step: int
    step_cut: bool
    resume: str


class StopOut(_Out):
    """What a stop answers that no worker has seen yet."""

    accepted: bool
    detail: str
    reason: str
    """Why nobody has carried it out yet: `no worker` lives; all are `busy`; one that took it is `slow`; `unknown`, for
    Redis, which knows who lives, is away."""


class TaskIds(_In):
    """Several tasks at once."""

    ids: list[uuid.UUID] = Field(min_length=1, max_length=100)


class RefusalOut(_Out):
    """Why something was not done: as a problem says it."""

    code: str
    detail: str
    remedy: str | None


class TaskOutcome(_Out):
    """What became of one task of several."""

    id: uuid.UUID
    outcome: Literal["done", "pending", "refused"]
    receipt: ReceiptOut | None = None
    """Of a stop that is done."""
    pending: StopOut | None = None
    """Of a stop that is durable and not carried out yet."""
    refusal: RefusalOut | None = None
    """What kept it from being done; the others were done all the same."""


class TaskOutcomes(_Out):
    """What became of each task, in the order of the request."""

    items: list[TaskOutcome]


class AcceptIn(_In):
    """Which version is accepted."""

    hash: Text = Field(min_length=1, max_length=128)
    override_feedback: StrictBool = False
    """In spite of comments that no revision has answered; the timeline tells how many there were."""


class ReviewedIn(_In):
    """Which version was reviewed."""

    hash: Text | None = Field(default=None, min_length=1, max_length=128)


class AnswerOut(_Out):
    """What became of the plan."""

    outcome: ReviewOutcome
    """accepted | revising"""
    hash: str | None


class FeedbackIn(_In):
    """A comment on a plan."""

    body: FilledText = Field(min_length=1, max_length=MAX_FEEDBACK)
    step: StrictInt | None = Field(default=None, ge=1, le=1_000_000)


class FeedbackEdit(_In):
    """A changed comment."""

    body: FilledText = Field(min_length=1, max_length=MAX_FEEDBACK)


class FeedbackOut(_Out):
    """A comment, and what the agent did about it."""

    id: uuid.UUID
    document_id: uuid.UUID
    author_id: uuid.UUID
    author: PersonOut
    step: int | None
    body: str
    answer: str | None
    answered_in: uuid.UUID | None
    created_at: datetime
    updated_at: datetime


class MessageIn(_In):
    """What somebody says to a task."""

    body: FilledText = Field(min_length=1, max_length=MAX_MESSAGE)


class KeyedMessage(_Out):
    """What an Idempotency-Key of a message stands for."""

    task_id: uuid.UUID
    body: str


class MessageOut(_Out):
    """What somebody said to a task, and where it was put."""

    id: uuid.UUID
    """That of the comment too, where it became one."""
    task_id: uuid.UUID
    author: PersonOut
    body: str
    placed: Literal["prompt", "feedback", "message", "follow_up"]
    """`prompt`: added to it, before the start; `feedback`: a comment on the plan under review; `message`: for the
    agent, which reads it by `ctx.messages()`; `follow_up`: the task was done, and goes on with another plan."""
    seq: int | None
    """Of a `message` and a `follow_up`: the number of its event."""
    created_at: datetime


class FeedbackPage(_Out):
    """A page of the comments on a document, oldest first."""

    items: list[FeedbackOut]
    next_cursor: str | None


class FeedbackLeft(_Out):
    """Comments on a document that its answer has no room for: `open` of them no revision has answered."""

    cursor: str
    """To be sent to the document's `feedback`."""
    count: int
    open: int


class DocumentOut(_Out):
    """A version of the plan, or the report."""

    id: uuid.UUID
    task_id: uuid.UUID
    kind: DocumentKind
    version: int
    status: DocumentStatus
    hash: str
    body: str
    """Markdown."""
    content: dict[str, Any]
    accepted_by: PersonOut | None
    """A policy, such as `policy:auto_accept`, has a name alone."""
    accepted_at: datetime | None
    created_at: datetime
    feedback: list[FeedbackOut] = Field(default_factory=list[FeedbackOut])
    """The first 1 MB of them."""
    feedback_left: FeedbackLeft | None = None


class DocumentList(_Out):
    """A page of a task's documents, oldest first; the first page has the newest."""

    items: list[DocumentOut]
    before: uuid.UUID | None = None
    """To be sent as `before` for older ones; none: there are no more."""


class TaskLogChunk(_Out):
    """Some of what a task's agent printed."""

    id: int
    at: datetime
    attempt: int
    """By which attempt."""
    text: str
    """Plain, as it was printed; lines may go on in the next chunk."""
    after_gap: bool
    """Whether older output was removed before it."""


class TaskLogPage(_Out):
    """A page of a task's log, oldest first."""

    items: list[TaskLogChunk]
    next: int
    """To be sent as `after` for what follows; without items there is nothing more yet."""
