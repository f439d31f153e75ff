"""What is asked of a forge, whichever it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

GITHUB: Final = "github"
GITLAB: Final = "gitlab"
GITEA: Final = "gitea"
FORGES: Final = (GITHUB, GITLAB, GITEA)

OPEN: Final = "open"
MERGED: Final = "merged"
CLOSED: Final = "closed"

PENDING: Final = "pending"
SUCCESS: Final = "success"
FAILURE: Final = "failure"

MAX_TITLE: Final = 250
"""Characters. Every dialect takes 255, and a draft's mark goes before it."""
MAX_BODY: Final = 60_000
"""Characters: GitHub takes 65,536."""
MAX_COMMENTS: Final = 300
"""The newest that are read of one pull request."""
MAX_COMMENT: Final = 20_000
"""Characters of one that is read."""


@dataclass(frozen=True, slots=True)
class Project:
    """A repository at a forge."""

    host: str
    path: str
    """`owner/name`; at GitLab with as many groups as there are."""

    @property
    def owner(self) -> str:
        """Who has it, at forges without groups of groups."""
        return self.path.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pull request as it should be."""

    head: str
    """The branch with the work; in the same repository."""
    base: str
    title: str
    body: str
    commit: str
    """To which the head was pushed: a pull request that was merged or closed with it is not opened a second time."""
    draft: bool = False

    def cut(self) -> "Proposal":
        """With texts of a length that every forge takes."""
        title = " ".join(self.title.split())[:MAX_TITLE] or self.head[:MAX_TITLE]
        body = self.body if len(self.body) <= MAX_BODY else f"{self.body[:MAX_BODY]}\n\n(cut here)"
        return Proposal(self.head, self.base, title, body, self.commit, self.draft)


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One that is at the forge: a merge request at GitLab."""

    number: int
    url: str
    state: str
    """open, merged or closed."""
    head: str
    base: str
    commit: str
    """Of its head, as the forge knows it; empty where it says none."""
    title: str
    draft: bool
    author: str = ""
    """Whose account opened it; empty: the forge does not say."""


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody said about a pull request: to it as a whole, in a review, or to a line."""

    id: str
    """Stable, and of its own within the pull request."""
    author: str
    text: str
    at: datetime
    """When it was written, or changed last, by the forge's clock."""
    path: str = ""
    line: int | None = None
    is_member: bool | None = None
    """Whether its author is an owner, member or collaborator of the repository; None: the forge does not say here."""
    is_bot: bool = False
    """Whether the forge says that a program wrote it."""


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """What is shown beside a commit."""

    state: str
    """pending, success or failure."""
    context: str
    """Whose it is: one for each context is shown."""
    description: str
    url: str = ""


class Forge(Protocol):
    """Pull requests of one repository.

    Where its owner has kept what answers were marked by (`asking.Remembered`), `get` raises `NotModified` for one that
    is as it was, and `comments` leaves out lists that are.

    Each method raises `ForgeDenied` (token, rights), `ForgeError` (what the forge refuses otherwise, and answers that
    are none) and `Unavailable` (limits of the forge with its `retry_after`, outages, silence).
    """

    async def find(self, head: str) -> list[PullRequest]:
        """Those that have this branch, the open one first, then the newest first; merged and closed ones as well,
        but where one is open a forge may leave them out."""
        ...

    async def create(self, proposal: Proposal) -> PullRequest:
        """Open one.

        Raises:
            AlreadyProposed: an open one has that head.
            BranchMissing: head or base is not there.
            NoDifference: head and base do not differ, where the forge looks: GitHub does; GitLab opens one all the
                same, and so does Gitea for two branches with one commit.
        """
        ...

    async def update(self, number: int, proposal: Proposal) -> PullRequest:
        """Give one another title and text. Whether it is a draft stays as people left it."""
        ...

    async def get(self, number: int) -> PullRequest:
        """One as it is now."""
        ...

    async def comment(self, number: int, text: str) -> None:
        """Say something."""
        ...

    async def comments(self, number: int, since: datetime | None) -> list[Comment]:
        """What was said from then on, oldest first; the newest `MAX_COMMENTS` of it."""
        ...

    async def is_private(self) -> bool:
        """Whether none but those who were let in see the repository."""
        ...

    async def may_write(self, user: str) -> bool:
        """Whether this account may write to the repository, as far as the token may know."""
        ...

    async def set_commit_status(self, commit: str, status: CommitStatus) -> None:
        """Show something beside a commit."""
        ...


def in_order(found: list[PullRequest], head: str) -> list[PullRequest]:
    """As `Forge.find` answers."""
    mine = [each for each in found if each.head == head]
    return sorted(mine, key=lambda each: (each.state != OPEN, -each.number))


def newest(found: list[Comment], since: datetime | None) -> list[Comment]:
    """As `Forge.comments` answers."""
    mine = [each for each in found if each.text.strip() and (since is None or each.at >= since)]
    return sorted(mine, key=lambda each: (each.at, each.id))[-MAX_COMMENTS:]
