"""Wire shapes of repositories."""

import uuid
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from pavo.jobs.repositories.domain import (
    DEFAULT_AUTHOR,
    DEFAULT_EMAIL,
    DEFAULT_TIMEOUT_SECONDS,
    DEFAULT_USERNAME,
    MAX_AUTHOR,
    MAX_CHECKS,
    MAX_COMMAND,
    MAX_EMAIL,
    MAX_ROUNDS,
    MAX_TIMEOUT_SECONDS,
    MAX_URL,
    Check,
    Forge,
    Repository,
    RepositoryValues,
    Reviewers,
)
from pavo.kit.texts.fields import Text

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class CheckIn(BaseModel):
    """A command that prepares or verifies a worktree, by a shell in its root."""

    model_config = _STRICT

    name: Text = Field(max_length=60)
    """What its log and result are called."""
    command: Text = Field(max_length=MAX_COMMAND)
    timeout_seconds: StrictInt = Field(DEFAULT_TIMEOUT_SECONDS, ge=1, le=MAX_TIMEOUT_SECONDS)

    def check(self) -> Check:
        """As the rules take it."""
        return Check(self.name, self.command, self.timeout_seconds)


class RepositoryCreate(BaseModel):
    """A new repository."""

    model_config = _STRICT

    name: Text = Field(max_length=100)
    """What jobs call it: acme/site."""
    clone_url: Text = Field(max_length=MAX_URL)
    """https:// or http://, without credentials in it."""
    default_branch: Text = Field("main", max_length=200)
    """What jobs begin at that name none."""
    forge: Forge = ""
    """Whose pull requests are opened; empty: branches are pushed, and nothing more."""
    forge_url: Text = Field("", max_length=MAX_URL)
    """Base of its API; empty: as the clone URL's host has it."""
    credential: Text | None = Field(None, max_length=100)
    """Name of the organisation's secret that git and forge are shown; null: none is needed."""
    username: Text = Field(DEFAULT_USERNAME, max_length=100)
    """That goes with it, for git."""
    prepare: list[CheckIn] = Field(default_factory=list[CheckIn], max_length=MAX_CHECKS)
    """Run in order before the coding program begins."""
    verify: list[CheckIn] = Field(default_factory=list[CheckIn], max_length=MAX_CHECKS)
    """Run in order when it has ended; each has to succeed."""
    verify_rounds: StrictInt = Field(2, ge=0, le=MAX_ROUNDS)
    """So often a failed verification goes back to the agent."""
    review_plan: StrictBool = False
    """Whether people review the agent's plan first."""
    draft: StrictBool = False
    """Whether pull requests are drafts."""
    reviewers: Reviewers = "members"
    """Whose comments on a pull request have its job go on: those of owners, members and collaborators; of anyone who
    can comment, which holds where the forge says that the repository is private; or nobody's."""
    author_name: Text = Field(DEFAULT_AUTHOR, max_length=MAX_AUTHOR)
    """Whose commits agents make there."""
    author_email: Text = Field(DEFAULT_EMAIL, max_length=MAX_EMAIL)

    def values(self) -> RepositoryValues:
        """As the rules take them."""
        return RepositoryValues(**_values(self, set(type(self).model_fields)))


class RepositoryEdit(BaseModel):
    """What is changed of a repository; what is left out stays."""

    model_config = _STRICT

    name: Text = Field("", max_length=100)
    clone_url: Text = Field("", max_length=MAX_URL)
    default_branch: Text = Field("main", max_length=200)
    forge: Forge = ""
    forge_url: Text = Field("", max_length=MAX_URL)
    credential: Text | None = Field(None, max_length=100)
    """Null: none is needed."""
    username: Text = Field(DEFAULT_USERNAME, max_length=100)
    prepare: list[CheckIn] = Field(default_factory=list[CheckIn], max_length=MAX_CHECKS)
    verify: list[CheckIn] = Field(default_factory=list[CheckIn], max_length=MAX_CHECKS)
    verify_rounds: StrictInt = Field(2, ge=0, le=MAX_ROUNDS)
    review_plan: StrictBool = False
    draft: StrictBool = False
    reviewers: Reviewers = "members"
    author_name: Text = Field(DEFAULT_AUTHOR, max_length=MAX_AUTHOR)
    author_email: Text = Field(DEFAULT_EMAIL, max_length=MAX_EMAIL)

    def changes(self) -> dict[str, Any]:
        """What was sent, by the names of `RepositoryValues`."""
        return _values(self, self.model_fields_set)


class CheckOut(BaseModel):
    """A command that prepares or verifies a worktree."""

    name: str
    command: str
    timeout_seconds: int


class RepositoryOut(BaseModel):
    """A repository of an organisation."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: uuid.UUID
    name: str
    clone_url: str
    default_branch: str
    forge: Forge
    """Whose pull requests are opened; empty: none are."""
    forge_url: str
    """Base of its API; empty: as the clone URL's host has it."""
    credential: str | None
    """Name of the organisation's secret that git and forge are shown."""
    username: str
    prepare: list[CheckOut]
    verify: list[CheckOut]
    verify_rounds: int
    review_plan: bool
    draft: bool
    reviewers: Reviewers
    """Whose comments on a pull request have its job go on."""
    author_name: str
    """Whose commits agents make there."""
    author_email: str
    created_by: str | None
    """Address of who added it; null: somebody who is gone."""
    created_at: datetime
    updated_at: datetime


class RepositoryList(BaseModel):
    """An organisation's repositories, by name."""

    items: list[RepositoryOut]


def repository_out(found: Repository) -> RepositoryOut:
    """A repository as it is shown."""
    made = {"created_by": found.created_by, "created_at": found.created_at, "updated_at": found.updated_at}
    return RepositoryOut.model_validate({"id": found.id, **asdict(found.values), **made})


def _values(given: RepositoryCreate | RepositoryEdit, names: set[str]) -> dict[str, Any]:
    found = {name: getattr(given, name) for name in names}
    for name in {"prepare", "verify"} & names:
        found[name] = tuple(each.check() for each in found[name])
    return found
