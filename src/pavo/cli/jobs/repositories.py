"""`pavo repo`: where an organisation's coding jobs work."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

from cyclopts import App, Parameter

from pavo.cli import exit_codes
from pavo.cli.confirm import confirm
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.jobs.client import OrganisationClient
from pavo.cli.jobs.spending import given
from pavo.cli.output import Output, Printer, fields
from pavo.cli.parameters import Approved, Limit, OrganisationId, Url
from pavo.cli.table import Listing
from pavo.errors import InvalidInput
from pavo.jobs.repositories.domain import Forge, Reviewers
from pavo.jobs.repositories.schemas import CheckOut, RepositoryOut

repo_app = App(
    name="repo", help="Repositories: where an organisation's coding jobs work.", help_epilogue=epilogue("repo")
)

RepositoryRef = Annotated[str, Parameter(name="REPOSITORY", help="The repository's name, or its id.")]
Branch: TypeAlias = Annotated[str | None, Parameter(help="What jobs begin at that name none; default: main.")]
ForgeName: TypeAlias = Annotated[
    Forge | None, Parameter(help="Whose pull requests are opened; without one branches are pushed, and nothing more.")
]
ForgeUrl: TypeAlias = Annotated[
    str | None, Parameter(help="Base of the forge's API, where it is not as the clone URL's host has it.")
]
Credential: TypeAlias = Annotated[
    str | None, Parameter(help="Name of the organisation's secret that git and forge are shown; '' for none.")
]
Username: TypeAlias = Annotated[str | None, Parameter(help="That goes with it, for git; default: x-access-token.")]
Prepare: TypeAlias = Annotated[
    list[str] | None,
    Parameter(help="A command that prepares a worktree, as NAME=COMMAND or NAME:SECONDS=COMMAND; may be repeated."),
]
Verify: TypeAlias = Annotated[
    list[str] | None, Parameter(help="One that verifies what was done, written likewise; may be repeated.")
]
Rounds: TypeAlias = Annotated[int | None, Parameter(help="So often a failed verification goes back to the agent.")]
ReviewPlan: TypeAlias = Annotated[bool | None, Parameter(help="Whether people review the agent's plan first.")]
Reviewing: TypeAlias = Annotated[
    Reviewers | None,
    Parameter(help="Whose comments on pull requests have jobs go on: members; anyone, where it is private; nobody."),
]
AuthorName: TypeAlias = Annotated[str | None, Parameter(help="Whose commits agents make there; default: Pavo.")]
AuthorEmail: TypeAlias = Annotated[str | None, Parameter(help="That goes with it; default: pavo@localhost.")]
Draft: TypeAlias = Annotated[bool | None, Parameter(help="Whether pull requests are drafts.")]

_CHECK: Final = re.compile(r"([\w .-]+)(?::(\d{1,6}))?=(.+)", re.DOTALL)


@repo_app.command(name="add")
def add_repository(
    name: str,
    clone_url: str,
    /,
    *,
    branch: Branch = None,
    forge: ForgeName = None,
    forge_url: ForgeUrl = None,
    credential: Credential = None,
    username: Username = None,
    prepare: Prepare = None,
    verify: Verify = None,
    rounds: Rounds = None,
    review_plan: ReviewPlan = None,
    draft: Draft = None,
    reviewers: Reviewing = None,
    author_name: AuthorName = None,
    author_email: AuthorEmail = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Add a repository, for coding jobs to work in.

    Parameters
    ----------
    name
        What jobs call it, for example acme/site.
    clone_url
        https:// or http://, without credentials in it: a token is a secret (pavo secret set), named by --credential.
    """
    values = _values(
        branch, forge, forge_url, credential, username, prepare, verify, rounds, review_plan, draft, reviewers
    ) | given({"author_name": author_name, "author_email": author_email})
    with OrganisationClient.from_environment(url, org) as client:
        found = client.add_repository({"name": name, "clone_url": clone_url, **values})
    then = f'pavo job submit "…" --repo {found.name} --program NAME'
    Printer(output).show(found, f"✓ {found.name} is added. Then: {then}")


@repo_app.command(name="list")
def list_repositories(
    *, limit: Limit = None, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """List an organisation's repositories, by name."""
    with OrganisationClient.from_environment(url, org) as client:
        found = client.repositories()
    _REPOSITORIES.show(output, found, lambda one: one, limit)


_REPOSITORIES: Final[Listing[RepositoryOut]] = Listing(
    "repositories",
    {
        "NAME": lambda one: one.name,
        "CLONE URL": lambda one: one.clone_url,
        "BRANCH": lambda one: one.default_branch,
        "FORGE": lambda one: one.forge,
        "CREDENTIAL": lambda one: one.credential or "",
        "VERIFY": lambda one: ", ".join(each.name for each in one.verify),
    },
    nothing="There are no repositories. Add one: pavo repo add NAME CLONE_URL",
    command="pavo repo list",
)


@repo_app.command(name="show")
def show_repository(
    repository: RepositoryRef, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Show a repository, with the commands that prepare and verify a worktree of it."""
    with OrganisationClient.from_environment(url, org) as client:
        found = client.repository(repository)
    Printer(output).show(found, lambda: _print_repository(found))


def _print_repository(found: RepositoryOut) -> None:
    values = {
        "id": found.id,
        "name": found.name,
        "clone url": found.clone_url,
        "branch": found.default_branch,
        "forge": " ".join(filter(None, (found.forge, found.forge_url))) or "none: branches are pushed",
        "credential": f"{found.credential}, as {found.username}" if found.credential else "none",
        **{f"prepare {index}": _shown(each) for index, each in enumerate(found.prepare, 1)},
        **{f"verify {index}": _shown(each) for index, each in enumerate(found.verify, 1)},
        "rounds": f"{found.verify_rounds} when verification fails",
        "plans": "reviewed by people" if found.review_plan else "not reviewed",
        "requests": "drafts" if found.draft else "ready for review",
        "reviewers": found.reviewers,
        "author": f"{found.author_name} <{found.author_email}>",
    }
    fields(values)


def _shown(check: CheckOut) -> str:
    return f"{check.name} (at most {check.timeout_seconds} s): {check.command}"


@repo_app.command(name="set")
def set_repository(
    repository: RepositoryRef,
    /,
    *,
    name: Annotated[str | None, Parameter(help="Another name.")] = None,
    clone_url: Annotated[str | None, Parameter(help="Another address, without credentials in it.")] = None,
    branch: Branch = None,
    forge: ForgeName = None,
    forge_url: ForgeUrl = None,
    credential: Credential = None,
    username: Username = None,
    prepare: Prepare = None,
    verify: Verify = None,
    rounds: Rounds = None,
    review_plan: ReviewPlan = None,
    draft: Draft = None,
    reviewers: Reviewing = None,
    author_name: AuthorName = None,
    author_email: AuthorEmail = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Change what is given; it holds for every command that an agent gets from now on."""
    changes = _values(
        branch, forge, forge_url, credential, username, prepare, verify, rounds, review_plan, draft, reviewers
    )
    own = {"name": name, "clone_url": clone_url, "author_name": author_name, "author_email": author_email}
    changes |= given(own)
    if not changes:
        raise InvalidInput("Nothing is to be changed.", field="options", remedy="See: pavo repo set --help")
    with OrganisationClient.from_environment(url, org) as client:
        found = client.edit_repository(client.repository(repository).id, changes)
    Printer(output).show(found, lambda: _print_repository(found))


@repo_app.command(name="rm")
def remove_repository(
    repository: RepositoryRef,
    /,
    *,
    yes: Approved = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Remove a repository that no job is queued or in progress in; jobs that are over stay."""
    with OrganisationClient.from_environment(url, org) as client:
        found = client.repository(repository)
        if not confirm(f"Remove {found.name}, {found.clone_url}?", approved=yes):
            return exit_codes.FAILED
        client.remove_repository(found.id)
    Printer(output).show({"removed": str(found.id)}, f"✓ {found.name} is removed.")
    return exit_codes.DONE


def _values(
    branch: str | None,
    forge: str | None,
    forge_url: str | None,
    credential: str | None,
    username: str | None,
    prepare: Sequence[str] | None,
    verify: Sequence[str] | None,
    rounds: int | None,
    review_plan: bool | None,
    draft: bool | None,
    reviewers: Reviewers | None,
) -> dict[str, Any]:
    """What was typed, as the API takes it."""
    found = {
        "default_branch": branch,
        "forge": forge,
        "forge_url": forge_url,
        "username": username,
        "prepare": None if prepare is None else [_check(each, "--prepare") for each in prepare],
        "verify": None if verify is None else [_check(each, "--verify") for each in verify],
        "verify_rounds": rounds,
        "review_plan": review_plan,
        "draft": draft,
        "reviewers": reviewers,
    }
    typed = given(found)
    return typed if credential is None else {**typed, "credential": credential or None}


def _check(text: str, field: str) -> dict[str, Any]:
    found = _CHECK.fullmatch(text)
    if found is None:
        remedy = f"Write it as {field} 'tests=make test', or with seconds: {field} 'tests:1200=make test'."
        raise InvalidInput(f"{text!r} is no command with a name.", field=field, remedy=remedy)
    name, seconds, command = found.groups()
    return {"name": name, "command": command, **({"timeout_seconds": int(seconds)} if seconds else {})}


give_examples(repo_app, "repo")
