"""The form of a flow's file, member by member: what its published JSON Schema is made of."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pavo.flows.definition.durations import Duration

NAME: Final = r"^[a-z][a-z0-9_-]{0,62}$"
STEP_ID: Final = r"^[a-z][a-z0-9_]{0,62}$"
"""Without a minus: expressions say `steps.ID`."""
VERSIONED: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}@[1-9][0-9]{0,5}$"
AGENT: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
REPOSITORY: Final = r"^[A-Za-z0-9]([A-Za-z0-9_./-]{0,98}[A-Za-z0-9_])?$"
"""As `jobs.repositories` has them."""
MAX_STEPS: Final = 1_000
MAX_ITEMS: Final = 100_000

Name = Annotated[str, Field(pattern=NAME)]
StepId = Annotated[str, Field(pattern=STEP_ID)]
Versioned = Annotated[str, Field(pattern=VERSIONED)]
"""`NAME@MAJOR`, such as `crm.get@2`."""
JsonSchema: TypeAlias = Mapping[str, Any]
Values: TypeAlias = Mapping[str, Any]
"""In which texts may hold `${{ … }}`."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


class Retry(_Form):
    """How often a step is tried, and when again."""

    max: int = Field(default=4, ge=1, le=100)
    """Tries in all."""
    first: Duration = Field(default="1s", validate_default=True)  # type: ignore[assignment]
    """Before the second one."""
    factor: float = Field(default=2.0, ge=1, le=10)
    longest: Duration = Field(default="5m", validate_default=True)  # type: ignore[assignment]
    only: tuple[Literal["transient", "timeout", "error"], ...] = ("transient", "timeout")
    """Failures after which it is tried again: `error` is any that does not say of itself that it may pass."""


class Case(_Form):
    """One way out of a branch. The first whose condition holds is taken."""

    when: str | None = None
    """An expression."""
    otherwise: Literal[True] | None = Field(default=None, alias="else")
    go: StepId | tuple[StepId, ...]

    @model_validator(mode="after")
    def _one(self) -> "Case":
        if (self.when is None) == (self.otherwise is None):
            raise ValueError("it has no condition, or two: give either `when` with an expression or `else`")
        return self


class Gate(_Form):
    """Asks people, by a form."""

    ask: str = Field(min_length=1, max_length=200)
    """Who may answer: `owners`, `members`, or a person's address."""
    question: str = Field(default="", max_length=10_000)
    form: Mapping[str, JsonSchema] = Field(default_factory=dict[str, JsonSchema])
    """Members of the answer, each with its JSON Schema."""
    expires: Duration | None = None
    on_expiry: Literal["fail", "skip"] = "fail"
    escalate: "Escalation | None" = None


class Escalation(_Form):
    """Whom a gate asks too when nobody has answered for a while."""

    after: Duration
    ask: str = Field(min_length=1, max_length=200)


class Http(_Form):
    """A request, to an address that is permitted."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: str = Field(min_length=1, max_length=10_000)
    headers: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    body: Any = None


class WaitFor(_Form):
    """A signal or a webhook with a correlation key."""

    signal: Name | None = None
    webhook: Name | None = None
    key: str = Field(default="", max_length=1_000)
    expires: Duration | None = None

    @model_validator(mode="after")
    def _one(self) -> "WaitFor":
        if (self.signal is None) == (self.webhook is None):
            raise ValueError("it waits for nothing, or for two things: give either `signal` or `webhook` with a name")
        return self


class ForEach(_Form):
    """Does a step once for each item of a list."""

    items: str = Field(alias="in")
    """An expression that gives a list."""
    name: Annotated[str, Field(pattern=STEP_ID)] = Field(default="item", alias="as")
    """By which the step's expressions know the item; `index` is its number, from 0."""
    max: int = Field(ge=1, le=MAX_ITEMS)
    """A longer list fails the step."""
    parallel: int = Field(default=1, ge=1, le=64)
    on_item_failure: Literal["stop", "collect"] = "stop"
    """`stop`: no further items begin, and the step fails. `collect`: all are done; the step succeeds, and its items
    say which failed."""


class Compensation(_Form):
    """What undoes a step, if the flow fails after it."""

    tool: Versioned
    values: Values = Field(default_factory=dict[str, Any], alias="with")


KINDS: Final = (*("tool", "agent", "job", "flow", "gate", "sleep", "until", "branch", "python", "http", "wait_for"),)
"""Members of a step that say what it does; each has exactly one."""


class WrittenStep(_Form):
    """One step."""

    title: str = Field(default="", max_length=200)
    tool: Versioned | None = None
    agent: Annotated[str, Field(pattern=AGENT)] | None = None
    """A task for this agent."""
    job: Annotated[str, Field(pattern=REPOSITORY)] | None = None
    """A coding job, in this repository."""
    flow: Versioned | None = None
    """A child flow."""
    gate: Gate | None = None
    sleep: str | None = None
    """A duration, or an expression that gives one."""
    until: str | None = None
    """A time of RFC 3339, or an expression that gives one."""
    branch: tuple[Case, ...] | None = Field(default=None, min_length=1, max_length=50)
    python: Name | None = None
    """An entry point of the group `pavo.flow_steps`."""
    http: Http | None = None
    wait_for: WaitFor | None = None

    needs: StepId | tuple[StepId, ...] = ()
    join: Literal["all_success", "any_success", "all_done"] = "all_success"
    condition: str | bool | None = Field(default=None, alias="if")
    for_each: ForEach | None = None
    values: Values = Field(default_factory=dict[str, Any], alias="with")
    retry: Retry | None = None
    timeout: Duration | None = None
    output: JsonSchema | None = None
    """What the step gives must be so."""
    compensate: Compensation | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "WrittenStep":
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = f"it has {' and '.join(given)}" if given else "it says nothing of what it does"
            raise ValueError(f"{found}: give exactly one of {', '.join(KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """Which of KINDS it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class Limits(_Form):
    """Bounds of a run."""

    in_flight: int = Field(default=32, ge=1, le=64)
    """Steps and items at once."""
    duration: Duration = Field(default="30d", validate_default=True)  # type: ignore[assignment]
    output_bytes: int = Field(default=131_072, ge=1_024, le=1_000_000)
    """Of a step's output; what is larger becomes an artifact, and the output its reference."""


class OnFailure(_Form):
    """What becomes of a run when a step fails."""

    policy: Literal["drain", "cancel", "continue"] = "drain"
    """`drain`: what runs ends, nothing begins. `cancel`: what runs is cancelled. `continue`: everything goes on that
    does not need the step."""
    compensate: bool = False
    """Whether the steps that succeeded are undone, the last one first."""


class WrittenFlow(_Form):
    """A flow's file."""

    hint: str | None = Field(default=None, alias="$schema", max_length=1_000)
    """For editors."""
    flow: Name
    description: str = Field(default="", max_length=10_000)
    inputs: Mapping[StepId, JsonSchema] = Field(default_factory=dict[str, JsonSchema])
    """Members of what a run is given, each with its JSON Schema; one without a `default` must be given."""
    secrets: tuple[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")], ...] = ()
    """Names of the organisation's secrets that steps may name: `{secret: NAME}`."""
    limits: Limits = Limits()
    on_failure: OnFailure = OnFailure()
    fallback: Literal["none", "local"] = "none"
    """Whether a run may begin on the local engine while Temporal is away."""
    result: Any = None
    """What the run gives; texts in it may hold `${{ … }}`."""
    output: JsonSchema | None = None
    """What the result must be."""
    steps: Mapping[StepId, WrittenStep] = Field(min_length=1, max_length=MAX_STEPS)
