"""What each event of a job says: `jobs.events` writes these, and `requests.event_schemas` describes them to clients.

Events are kept: a member may be added where it need not be there, none is ever taken away.
"""

from typing import Annotated, Final, Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, WithJsonSchema, with_config
from typing_extensions import TypedDict  # pydantic takes that of `typing` from Python 3.12 on

_described: Final = with_config(ConfigDict(use_attribute_docstrings=True))
Id: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
JobStage: TypeAlias = Literal[
    "QUEUED", "CLAIMED", "PREPARING", "EXECUTING", "VERIFYING", "PUBLISHING", "CLEANING", "DONE", "FAILED", "CANCELLED"
]
JobKind: TypeAlias = Literal["backlog", "rework"]
AttemptEnd: TypeAlias = Literal["done", "failed", "cancelled", "lost"]


@_described
class JobQueuedEvent(TypedDict):
    """The job waits in its organisation's queue: first, again, or to answer a review."""

    type: Literal["queued"]
    kind: JobKind
    priority: int
    by: NotRequired[str]
    """The address of whoever asked for it; none: an attempt was lost."""


@_described
class JobStageEvent(TypedDict):
    """The job entered a stage."""

    type: Literal["stage"]
    stage: JobStage


@_described
class JobClaimedEvent(TypedDict):
    """A remote agent was given the job."""

    type: Literal["claimed"]
    epoch: int
    """Number of the attempt."""
    agent_id: Id
    agent: str
    """Its name."""


@_described
class JobPlanEvent(TypedDict):
    """The agent's plan is open for review: answer its gate."""

    type: Literal["plan"]
    epoch: int
    gate_id: Id
    hash: str
    """Of the plan: what an answer names."""
    version: int
    """1, and one more each time that comments came back."""


@_described
class JobPlanAnsweredEvent(TypedDict):
    """Somebody answered the plan: it is carried out, or the agent is asked for another."""

    type: Literal["plan_answered"]
    gate_id: Id
    accepted: bool
    by: str
    note: NotRequired[str]
    """What is to change."""


@_described
class JobVerifiedEvent(TypedDict):
    """The repository's checks ran."""

    type: Literal["verified"]
    round: int
    """0 first, then how often the agent was asked to repair."""
    passed: bool
    failed: list[str]
    """Names of the checks that failed."""


@_described
class JobPullRequestEvent(TypedDict):
    """A pull request was opened, or the open one was updated; or its state changed at the forge."""

    type: Literal["pull_request"]
    url: str
    number: int
    state: Literal["open", "merged", "closed"]
    updated: NotRequired[bool]


@_described
class JobError(TypedDict):
    """Why an attempt did not succeed."""

    type: str
    cause: str
    remedy: str


@_described
class JobAttemptEndedEvent(TypedDict):
    """An attempt is over."""

    type: Literal["attempt_ended"]
    epoch: int
    how: AttemptEnd
    error: NotRequired[JobError]
    owes_cleanup: NotRequired[bool]
    """Its agent was away; it cleans up when it comes back."""


@_described
class JobCancelAskedEvent(TypedDict):
    """Somebody cancelled the job."""

    type: Literal["cancel_asked"]
    by: str


@_described
class JobMessageEvent(TypedDict):
    """A review that the job is to answer."""

    type: Literal["message"]
    body: str
    by: str


@_described
class JobNoteEvent(TypedDict):
    """Something that people are to know, and that changes nothing."""

    type: Literal["note"]
    text: str
    remedy: str
    """What they can do."""


@_described
class JobAdoptedEvent(TypedDict):
    """What a lost attempt has done counts as the job's."""

    type: Literal["adopted"]
    epoch: int
    by: str


@_described
class JobLateWorkEvent(TypedDict):
    """What has become of the changes that a lost attempt left at its agent."""

    type: Literal["late_work"]
    epoch: int
    """Number of the attempt."""
    state: Literal["kept", "nothing", "gone", "declined"]
    """kept: they are on a branch of their own, and can be adopted; nothing: there were none; gone: they are not on the
    agent's machine any more; declined: nobody wanted them."""
    finished: bool
    """Whether the coding program came to its end."""
    branch: NotRequired[str]
    commit: NotRequired[str]
    reason: NotRequired[str]
    """Why they are gone."""
    by: NotRequired[str]
    """The address of whoever declined them."""


@_described
class JobArtifactEvent(TypedDict):
    """The job keeps a file of an attempt, such as its patch, or other content under a name that it had."""

    type: Literal["artifact_added"]
    epoch: int
    """Number of the attempt."""
    artifact_id: Id
    name: str
    media_type: str
    bytes: int
    sha256: str
    """Of its content, in hex."""


@_described
class JobMovedEvent(TypedDict):
    """Somebody gave the job another place in its queue."""

    type: Literal["moved"]
    priority: int
    by: NotRequired[str]


@_described
class JobDeletedEvent(TypedDict):
    """The job is gone; nothing follows."""

    type: Literal["deleted"]


JobEvents: TypeAlias = (
    JobQueuedEvent
    | JobStageEvent
    | JobClaimedEvent
    | JobPlanEvent
    | JobPlanAnsweredEvent
    | JobVerifiedEvent
    | JobPullRequestEvent
    | JobAttemptEndedEvent
    | JobCancelAskedEvent
    | JobMessageEvent
    | JobNoteEvent
    | JobAdoptedEvent
    | JobLateWorkEvent
    | JobArtifactEvent
    | JobMovedEvent
    | JobDeletedEvent
)
