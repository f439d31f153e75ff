"""Every error that Pavo raises on purpose.

    PavoError
    ├── ConfigurationError        a setting or an option of the command line is wrong
    │   └── NotInstalled          … or what it asks for needs an extra that is not installed
    ├── InvalidInput              a value in a request is wrong
    │   ├── TooLarge              … because it is larger than allowed
    │   └── BadRequest            … and the existing frontends expect status 400 for it
    ├── NotAuthenticated          nobody proved who they are
    ├── Forbidden                 known, but not allowed
    ├── NotFound                  no such thing, or not yours: the two answer alike
    ├── Conflict                  right in itself, but not now
    │   ├── WrongStage            the task is in a stage that does not take this command
    │   ├── WrongPlanHash         another version of the plan is the current one
    │   ├── UnaddressedFeedback   the plan has feedback that no revision has answered
    │   ├── LastOwner             an organisation would have no owner
    │   ├── Stopping              the run is just ending; repeat the command
    │   ├── IdempotencyMismatch   the key was used for another request
    │   └── ForgeError            a forge (GitHub, GitLab, Gitea) does not do what it is asked
    │       ├── ForgeDenied       … since it does not know the token, or the token may not do this
    │       ├── BranchMissing     … since it does not have a branch that is named
    │       ├── NoDifference      … since the two branches do not differ
    │       └── AlreadyProposed   … since an open pull request has that branch
    ├── Unavailable               a dependency is away or overloaded; repeat later
    │   ├── OutcomeUnknown        the command may or may not have happened; repeat it, it happens once
    │   └── DiskFull              a disk has no space left; repeating helps once somebody has made some
    ├── LeaseLost                 a newer attempt took the task over; this one may write nothing
    ├── Superseded                the task is stopped, or a newer run has it; this attempt came too late
    ├── AgentError                the agent's own code failed; the step is tried again
    │   └── AgentRefused          … and said that trying again is useless
    │       └── ModelRefused      a model's server does not take the request, the key or the name
    ├── ToolFailed                a tool that an agent called failed
    │   └── ToolDenied            … since a policy or a person does not let it be called so
    ├── ArtifactError             an artifact cannot be kept or read
    ├── AgentDied                 the agent's process ended without an answer
    └── InternalError             a fault of Pavo's own; the log tells it

HTTP statuses are mapped once, in `api.py`; exit codes once, in `cli/exit_codes.py`.
"""

from typing import Any


class PavoError(Exception):
    """Base of the tree: what happened, the field at fault if there is one, and the remedy."""

    title = "Pavo could not do this"

    def __init__(self, detail: str, *, field: str | None = None, remedy: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.remedy = remedy
        self.extra = extra
        """Members that a program may want, shown beside `detail` in problem details."""

    @property
    def code(self) -> str:
        """The stable name of the error: the class's name."""
        return type(self).__name__


class ConfigurationError(PavoError):
    """A setting is missing or wrong. Remedy: set the variable that `field` names."""

    title = "The configuration is wrong"


class NotInstalled(ConfigurationError):
    """An extra of Pavo's distribution is needed and not installed. Remedy: the installation that is named."""

    title = "Something is not installed"


class InvalidInput(PavoError):
    """A value in the request is wrong. Remedy: correct the field that is named."""

    title = "The request is not valid"


class TooLarge(InvalidInput):
    """A value is larger than allowed. Remedy: send less."""

    title = "The request is too large"


class BadRequest(InvalidInput):
    """A value is wrong on a route whose contract answers 400. Remedy: correct the field that is named."""


class NotAuthenticated(PavoError):
    """Nobody proved who they are. Remedy: send a token, a session cookie or (dev mode) an identity header."""

    title = "Who are you?"


class Forbidden(PavoError):
    """The caller is known, or is a foreign web page, and may not do this."""

    title = "Not allowed"


class NotFound(PavoError):
    """No such thing, or it belongs to somebody else: the two cannot be told apart."""

    title = "Not found"


class Conflict(PavoError):
    """The command is right in itself, but not in the present state."""

    title = "Not possible now"


class WrongStage(Conflict):
    """The task's stage does not take this command. Remedy: look at `stage` and act on that."""


class WrongPlanHash(Conflict):
    """Another version of the plan is current. Remedy: read it and accept its hash (`current_hash`)."""


class UnaddressedFeedback(Conflict):
    """The plan has feedback that no revision has answered. Remedy: finish the review, then accept the new version."""


class GateClosed(Conflict):
    """A gate takes no answer any more; `answered_by` says whose it took, where it took one."""


class WrongGateHash(Conflict):
    """A gate was to be answered by somebody who saw something else. Remedy: read it, and answer with its hash."""


class LastOwner(Conflict):
    """The organisation would have no owner. Remedy: make another member an owner first."""


class Stopping(Conflict):
    """The run that took the command is just ending. Remedy: repeat it; the service does so by itself."""


class IdempotencyMismatch(Conflict):
    """The Idempotency-Key was used for a different request. Remedy: use a new key for a new request."""


class ForgeError(Conflict):
    """A forge does not do what it is asked, and will not the next time. `detail` holds what it says, and no token."""

    title = "The forge refused"


class ForgeDenied(ForgeError):
    """The forge does not know the token, or that may not do this. Remedy: replace the secret of the repository."""


class BranchMissing(ForgeError):
    """The forge does not have a branch that a pull request names. Remedy: push it, or name another one."""


class NoDifference(ForgeError):
    """The two branches of a pull request do not differ: there is nothing to ask for."""


class AlreadyProposed(ForgeError):
    """An open pull request has that branch. Remedy: update it."""


class Unavailable(PavoError):
    """A dependency is away or overloaded. Remedy: repeat after `retry_after` seconds, unless another one is given."""

    title = "Not available at the moment"

    def __init__(
        self, detail: str, *, dependency: str, retry_after: int = 1, remedy: str | None = None, **extra: Any
    ) -> None:
        super().__init__(detail, dependency=dependency, remedy=remedy or f"Try again in {retry_after} s.", **extra)
        self.dependency = dependency
        self.retry_after = retry_after


class OutcomeUnknown(Unavailable):
    """The command was sent but not confirmed in time. Remedy: repeat it; it takes effect once."""

    title = "The outcome is not known yet"


class DiskFull(Unavailable):
    """PostgreSQL has no space left on its disk. Remedy: make space there; nothing that was recorded is lost."""

    title = "A disk is full"


class LeaseLost(PavoError):
    """A newer attempt took the task over (its epoch is higher); this one may write nothing and must end."""

    title = "The lease is lost"


class Superseded(PavoError):
    """This attempt came too late: the task is stopped or deleted, or a newer run has it. It ends and writes nothing."""

    title = "The attempt is superseded"


class AgentError(PavoError):
    """The agent's own code failed. Pavo tries the step again, up to five times."""

    title = "The agent failed"


class AgentRefused(AgentError):
    """Raised by an agent that knows that trying again is useless. Pavo fails the task at once."""


class ModelRefused(AgentRefused):
    """A model's server refuses what it is asked, and will again; `extra["status"]` is its HTTP status, if any."""

    title = "The model refused"


class ModelFailed(PavoError):
    """A model gave no usable answer, after several tries. Raised to the agent by `ctx.complete`; it may ask again."""

    title = "The model failed"


class QuestionExpired(PavoError):
    """Nobody answered an agent's question in time, and it has no default. Raised to the agent, by `ctx.ask`."""

    title = "Nobody answered in time"


class ToolFailed(PavoError):
    """A tool that an agent called does not exist, got wrong arguments, or failed. Remedy: the agent catches it."""

    title = "The tool failed"


class ToolDenied(ToolFailed):
    """A policy, or a person who was asked, does not let an agent call a tool so. Remedy: go on without it."""

    title = "The call was denied"


class ArtifactError(PavoError):
    """An artifact cannot be kept, or read: its name, a limit, none such. Raised to agents and tools, which catch it."""

    title = "Not with this artifact"


class AgentDied(PavoError):
    """The agent's process ended or hung without an answer. Three times at one step quarantine the task."""

    title = "The agent's process died"


class InternalError(PavoError):
    """A fault of Pavo's own that nobody foresaw. Remedy: look in the log for the id that the detail names."""

    title = "Something is broken in Pavo"
