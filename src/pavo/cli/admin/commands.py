"""`pavo token`, `pavo org`, `pavo corpus`: an operator's commands, which work on the database itself."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from pavo import config
from pavo.accounts.domain import TokenInfo
from pavo.accounts.service import AccountsService
from pavo.cli.output import Output, console, print_json, say, table
from pavo.corpus.domain import MAX_DOCUMENT_BYTES
from pavo.corpus.service import CorpusService
from pavo.deploy.model import state
from pavo.errors import ConfigurationError, InvalidInput
from pavo.kit.clock import now
from pavo.kit.sql import Database

token_app = App(name="token", help="API tokens: create, list, revoke.")
org_app = App(name="org", help="Organisations: invite somebody, list them.")
corpus_app = App(name="corpus", help="An organisation's documents, which its agents may search.")

Organisation = Annotated[
    str | None,
    Parameter(
        name="--org",
        help="The organisation: its id, its name, or a user whose home it is. "
        "Default: in dev mode that of the default user, else the only one.",
    ),
]
DataDir = Annotated[Path | None, Parameter(name="--data-dir", help="The embedded stack that is meant.")]


@dataclass(frozen=True, slots=True)
class _Services:
    accounts: AccountsService
    corpus: CorpusService

    async def organisation(self, reference: str | None) -> uuid.UUID:
        """The organisation that is meant: the one named, else in dev mode the default user's, else the only one."""
        if reference is not None:
            return await self.accounts.organisation_named(reference)
        if self.accounts.mode == "dev":
            return (await self.accounts.default_identity()).organisation_id
        found = await self.accounts.organisations()
        if len(found) == 1:
            return found[0].id
        raise InvalidInput(
            f"There are {len(found)} organisations.", field="--org", remedy="Name one with --org; see: pavo org list"
        )


@asynccontextmanager
async def _services(data_dir: Path | None) -> AsyncGenerator[_Services]:
    settings = config.load()
    database = Database(_database_url(data_dir), pool_size=2)
    try:
        corpus = CorpusService(database)
        sample = corpus.ensure_sample if settings.http.auth == "dev" else None
        yield _Services(AccountsService(database, settings.http, sample), corpus)
    finally:
        await database.close()


def _database_url(data_dir: Path | None) -> str:
    """DATABASE_URL where it is set, else the running stack's; with a data directory named, always that stack's."""
    if data_dir is None:
        return state.database_url()
    stack = state.running(data_dir)
    if stack is None:
        raise ConfigurationError(
            f"No stack runs on {data_dir}.", field="--data-dir", remedy=f"Start it with: pavo up --data-dir {data_dir}"
        )
    return stack.environment["DATABASE_URL"]


@token_app.command(name="create")
async def create_token(
    email: str,
    /,
    *,
    name: str = "command line",
    expires: timedelta | None = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Create an API token for somebody, and show it this once: only its hash is stored.

    Parameters
    ----------
    email
        Whose token it is; who is new gets an organisation of their own, unless invited.
    name
        What it is for, to recognise it by.
    expires
        How long it opens anything, like 30d or 12h; default: until it is revoked.
    """
    async with _services(data_dir) as services:
        created = await services.accounts.create_token(email, name, expires)
    if output == "json":
        print_json({"token": created.secret, **_token(created.token)})
        return
    console().print(Text(created.secret, style="bold"), soft_wrap=True)
    # On the error stream, so that TOKEN=$(pavo token create …) gets nothing but the token.
    console(stderr=True).print(Text("Keep it: it is not shown again.", style="dim"))


@token_app.command(name="list")
async def list_tokens(*, email: str | None = None, output: Output = "text", data_dir: DataDir = None) -> None:
    """List API tokens, newest first, without their secrets.

    Parameters
    ----------
    email
        Only this user's.
    """
    async with _services(data_dir) as services:
        tokens = await services.accounts.tokens(email)
    if output == "json":
        print_json({"tokens": [_token(token) for token in tokens]})
        return
    rows = [
        (f"{token.prefix}…", token.name, token.email, token.state(now()), _when(token.last_used_at), str(token.id))
        for token in tokens
    ]
    table(("TOKEN", "NAME", "USER", "STATE", "LAST USED", "ID"), rows, fold=True, nothing="There are no tokens.")


@token_app.command(name="revoke")
async def revoke_token(token: str, /, *, output: Output = "text", data_dir: DataDir = None) -> None:
    """End an API token and every session that it opened; running API processes notice within 5 s.

    Parameters
    ----------
    token
        Its id, or the beginning that `pavo token list` shows.
    """
    async with _services(data_dir) as services:
        revoked = await services.accounts.revoke_token(token.removesuffix("…"))
    if output == "json":
        print_json(_token(revoked))
        return
    say(f"✓ {revoked.prefix}… ({revoked.name}, {revoked.email}) is revoked.")


@org_app.command(name="invite")
async def invite(email: str, /, *, org: Organisation = None, output: Output = "text", data_dir: DataDir = None) -> None:
    """Let somebody join an organisation, which becomes their home: now if known, else on first sight.

    Parameters
    ----------
    email
        Whom to invite.
    """
    async with _services(data_dir) as services:
        organisation_id = await services.organisation(org)
        joined = await services.accounts.invite(organisation_id, email)
    if output == "json":
        print_json({"organisation_id": str(organisation_id), "email": email.strip().lower(), "joined": joined})
        return
    say(f"✓ {email} {'is a member now' if joined else 'joins when first seen'}.")


@org_app.command(name="list")
async def list_organisations(*, output: Output = "text", data_dir: DataDir = None) -> None:
    """List organisations with their members and open invitations."""
    async with _services(data_dir) as services:
        found = await services.accounts.organisations()
    if output == "json":
        print_json({"organisations": [asdict(one) for one in found]})
        return
    rows = [(one.name, ", ".join(one.members), ", ".join(one.invited), str(one.id)) for one in found]
    table(("NAME", "MEMBERS", "INVITED", "ID"), rows, fold=True, nothing="There are no organisations yet.")


@corpus_app.command(name="add")
async def add_documents(
    *files: Path, org: Organisation = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Add text files of at most 1 MB; one that is there already changes nothing.

    Parameters
    ----------
    files
        Markdown or other UTF-8 text; its title is its first heading, else its name.
    """
    if not files:
        raise InvalidInput("No file is named.", field="files", remedy="pavo corpus add FILE…")
    contents = [(path.name, _read(path)) for path in files]
    added: dict[str, bool] = {}
    async with _services(data_dir) as services:
        organisation_id = await services.organisation(org)
        for path, (name, content) in zip(files, contents, strict=True):
            added[str(path)] = await services.corpus.add_file(organisation_id, name, content)
    if output == "json":
        print_json({"organisation_id": str(organisation_id), "files": added})
        return
    for path, new in added.items():
        say(f"✓ {path} {'added' if new else 'was there already'}")


def _read(path: Path) -> bytes:
    """At most one byte more than a document may have: enough to see that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}.", field="files", remedy="Name a text file that exists."
        ) from error


@corpus_app.command(name="sample")
async def add_sample(*, org: Organisation = None, output: Output = "text", data_dir: DataDir = None) -> None:
    """Give an organisation without documents the sample ones (in dev mode every new one begins with them)."""
    async with _services(data_dir) as services:
        organisation_id = await services.organisation(org)
        added = await services.corpus.ensure_sample(organisation_id)
    if output == "json":
        print_json({"organisation_id": str(organisation_id), "added": added})
        return
    say(f"✓ {added} documents added" if added else "It has documents; nothing was added.")


@corpus_app.command(name="list")
async def list_documents(*, org: Organisation = None, output: Output = "text", data_dir: DataDir = None) -> None:
    """List an organisation's documents."""
    async with _services(data_dir) as services:
        found = await services.corpus.entries(await services.organisation(org))
    if output == "json":
        print_json({"documents": [asdict(entry) for entry in found]})
        return
    rows = [(entry.title, entry.source, f"{entry.size:,}", _when(entry.created_at)) for entry in found]
    table(
        ("TITLE", "SOURCE", "BYTES", "ADDED"), rows, fold=True, nothing="There are no documents: pavo corpus add FILE…"
    )


@corpus_app.command(name="search")
async def search_documents(
    query: str, /, *, org: Organisation = None, limit: int = 10, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Search an organisation's documents as its agents do, the best first.

    Parameters
    ----------
    query
        Words, any of which may match.
    limit
        Hits at most.
    """
    async with _services(data_dir) as services:
        hits = await services.corpus.search(await services.organisation(org), query, limit)
    if output == "json":
        print_json({"hits": [asdict(hit) for hit in hits]})
        return
    rows = [(f"{hit.rank:.2f}", hit.title, hit.excerpt) for hit in hits]
    table(("RANK", "TITLE", "EXCERPT"), rows, fold=True, nothing="Nothing matches.")


def _token(token: TokenInfo) -> dict[str, Any]:
    return {**asdict(token), "state": token.state(now())}


def _when(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")
