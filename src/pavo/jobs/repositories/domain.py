"""What a repository of an organisation is, and which values it takes. Pure rules."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pavo.errors import InvalidInput
from pavo.protocol.limits import CHECK_SECONDS

Forge: TypeAlias = Literal["github", "gitlab", "gitea", ""]
FORGES: Final = ("github", "gitlab", "gitea", "")

Reviewers: TypeAlias = Literal["members", "anyone", "nobody"]
"""Whose comments on a pull request have its job go on: those of owners, members and collaborators; of anyone who can
comment, where the repository is private; or nobody's."""

NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,98}[A-Za-z0-9_])?", re.ASCII)
"""How a repository's name is spelled: people type it, and may write `group/project`."""
MAX_REPOSITORIES: Final = 500
"""Of one organisation."""
MAX_URL: Final = 500
MAX_BRANCH: Final = 200
"""Bytes of a branch's name: refs are files where git keeps them."""
MAX_CHECKS: Final = 20
MAX_CHECK_NAME: Final = 60
MAX_COMMAND: Final = 4_000
MAX_TIMEOUT_SECONDS: Final = 86_400
DEFAULT_TIMEOUT_SECONDS: Final = CHECK_SECONDS
MAX_ROUNDS: Final = 10
MAX_USERNAME: Final = 100
DEFAULT_USERNAME: Final = "x-access-token"
"""What GitHub, GitLab and Gitea take with a token as the password."""

DEFAULT_AUTHOR: Final = "Pavo"
DEFAULT_EMAIL: Final = "pavo@localhost"
MAX_AUTHOR: Final = 100
MAX_EMAIL: Final = 254
_EMAIL: Final = re.compile(r"[^\s<>@\"\\]+@[^\s<>@\"\\]+")

_NO_BRANCH: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|[/.]$|(?:^|/)\.|\.lock(?:/|$)")
"""What `git check-ref-format --branch` refuses."""


@dataclass(frozen=True, slots=True)
class Check:
    """A command that prepares or verifies a worktree, by a shell in its root."""

    name: str
    command: str
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class RepositoryValues:
    """What people set of one."""

    name: str
    clone_url: str
    default_branch: str = "main"
    forge: str = ""
    """Whose pull requests are opened; empty: branches are pushed, and nothing more."""
    forge_url: str = ""
    """Base of its API; empty: as the clone URL's host has it."""
    credential: str | None = None
    """Name of the organisation's secret that git and forge are shown."""
    username: str = DEFAULT_USERNAME
    """That goes with it, for git."""
    prepare: Sequence[Check] = ()
    verify: Sequence[Check] = ()
    verify_rounds: int = 2
    """So often a failed verification goes back to the agent."""
    review_plan: bool = False
    draft: bool = False
    reviewers: Reviewers = "members"
    author_name: str = DEFAULT_AUTHOR
    """Whose commits agents make there, and the coding programs that use git's own settings."""
    author_email: str = DEFAULT_EMAIL


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as its organisation's members see it."""

    id: uuid.UUID
    values: RepositoryValues
    created_by: str | None
    """Address of who added it; None: somebody who is gone."""
    created_at: datetime
    updated_at: datetime


def checked(values: RepositoryValues) -> RepositoryValues:
    """The values, trimmed. Whether the credential exists is not known here.

    Raises:
        InvalidInput: a value is none; `field` names it.
    """
    if values.forge not in FORGES:
        raise _wrong("forge", f"{values.forge[:50]!r} is no forge.", "Use github, gitlab, gitea, or leave it empty.")
    if values.forge_url and not values.forge:
        raise _wrong("forge_url", "It is the address of no forge.", "Say which one that is: forge.")
    if not 0 <= values.verify_rounds <= MAX_ROUNDS:
        raise _wrong("verify_rounds", "It is out of bounds.", f"Give 0 to {MAX_ROUNDS}.")
    return RepositoryValues(
        name=checked_name(values.name),
        clone_url=checked_url(values.clone_url, "clone_url"),
        default_branch=checked_branch(values.default_branch, "default_branch"),
        forge=values.forge,
        forge_url=checked_url(values.forge_url, "forge_url").rstrip("/") if values.forge_url else "",
        credential=values.credential or None,
        username=_username(values.username),
        prepare=_checks(values.prepare, "prepare"),
        verify=_checks(values.verify, "verify"),
        verify_rounds=values.verify_rounds,
        review_plan=values.review_plan,
        draft=values.draft,
        reviewers=values.reviewers,
        author_name=_author(values.author_name),
        author_email=_email(values.author_email),
    )


def checked_name(name: str) -> str:
    """The name.

    Raises:
        InvalidInput: it is none.
    """
    text = name.strip()
    if not NAME.fullmatch(text) or "//" in text or ".." in text:
        remedy = "Use 1 to 100 letters, digits and _ . - / in ASCII, with a letter or digit first."
        raise _wrong("name", f"{name[:100]!r} is no name of a repository.", remedy)
    return text


def checked_url(url: str, field: str) -> str:
    """An address of a repository or forge: http(s), without credentials, without anything that git takes for an option.

    Raises:
        InvalidInput: it is none.
    """
    text = url.strip()
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise _bad_url(field, f"It has more than {MAX_URL} characters, or some that no URL has.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_url(field, f"{error}.") from error
    if parts.scheme not in ("http", "https"):
        raise _bad_url(field, "It must begin with https:// or http://.")
    if "@" in parts.netloc:
        remedy = "Leave them out, keep the token as a secret (pavo secret set NAME), and name that: credential."
        raise _wrong(field, "This address has a user or password in it.", remedy)
    if not host or port == 0 or "?" in text or "#" in text:
        raise _bad_url(field, "It names no host, or has a query or a fragment.")
    if any(part.startswith("-") for part in (host, *parts.path.split("/"))):
        raise _bad_url(field, "A part of it begins with a dash, as options of git do.")
    return text


def checked_branch(name: str, field: str) -> str:
    """A branch's name, as git takes it.

    Raises:
        InvalidInput: it is none.
    """
    text = name.strip().removeprefix("refs/heads/")
    size = len(text.encode(errors="replace"))
    if not text or size > MAX_BRANCH or text in ("@", "HEAD") or _NO_BRANCH.search(text) or not text.isprintable():
        remedy = "Give it as git does: main, or feature/x; without refs/heads/."
        raise _wrong(field, f"{name[:100]!r} is no name of a branch.", remedy)
    return text


def _username(username: str) -> str:
    text = username.strip() or DEFAULT_USERNAME
    if len(text) > MAX_USERNAME or not text.isprintable() or ":" in text:
        raise _wrong(
            "username", "This is no user name for git.", f"Give up to {MAX_USERNAME} characters without a colon."
        )
    return text


def _author(name: str) -> str:
    """As git writes it into commits: it would drop `<`, `>` and line ends, and takes no name of signs alone."""
    text = name.strip() or DEFAULT_AUTHOR
    if len(text) > MAX_AUTHOR or not text.isprintable() or set(text) & set("<>") or not any(map(str.isalnum, text)):
        remedy = f"Give up to {MAX_AUTHOR} characters without < and >, with a letter or digit."
        raise _wrong("author_name", f"{name[:100]!r} is no name of an author.", remedy)
    return text


def _email(email: str) -> str:
    text = email.strip() or DEFAULT_EMAIL
    if len(text) > MAX_EMAIL or not _EMAIL.fullmatch(text) or not text.isprintable():
        remedy = "Give one as pavo@example.com, without < and >."
        raise _wrong("author_email", f"{email[:100]!r} is no address of an author.", remedy)
    return text


def _checks(given: Sequence[Check], field: str) -> tuple[Check, ...]:
    if len(given) > MAX_CHECKS:
        raise _wrong(field, f"There are {len(given)} commands.", f"Give {MAX_CHECKS} at most; a script is one.")
    found = tuple(_check(each, f"{field}.{index}") for index, each in enumerate(given))
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise _wrong(
            field, "Two of the commands have the same name.", "Name each differently: the log tells them apart."
        )
    return found


def _check(given: Check, field: str) -> Check:
    name, command = given.name.strip(), given.command.strip()
    if not name or len(name) > MAX_CHECK_NAME or not name.isprintable():
        raise _wrong(f"{field}.name", "This is no name of a command.", f"Give 1 to {MAX_CHECK_NAME} characters.")
    if not command or len(command) > MAX_COMMAND or "\0" in command:
        raise _wrong(f"{field}.command", "This is no command.", f"Give 1 to {MAX_COMMAND:,} characters.")
    if not 1 <= given.timeout_seconds <= MAX_TIMEOUT_SECONDS:
        remedy = f"Give 1 to {MAX_TIMEOUT_SECONDS:,} seconds."
        raise _wrong(f"{field}.timeout_seconds", "The time-out is out of bounds.", remedy)
    return Check(name, command, given.timeout_seconds)


def _bad_url(field: str, detail: str) -> InvalidInput:
    return _wrong(field, f"This address cannot be used. {detail}", "Give one like https://github.com/acme/site.git.")


def _wrong(field: str, detail: str, remedy: str) -> InvalidInput:
    return InvalidInput(detail, field=field, remedy=remedy)
