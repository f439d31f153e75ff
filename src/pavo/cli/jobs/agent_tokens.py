"""`pavo agent token`: what agents on other machines prove themselves by."""

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from rich.text import Text

from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.jobs.client import OrganisationClient
from pavo.cli.jobs.moments import local_time
from pavo.cli.output import Output, Printer, console
from pavo.cli.parameters import Limit, OrganisationId, Url
from pavo.cli.table import Listing
from pavo.errors import InvalidInput, NotFound
from pavo.jobs.agents.token_schemas import AgentTokenOut, NewAgentTokenOut

token_app = App(name="token", help="Tokens for agents on other machines.", help_epilogue=epilogue("agent token"))

Shared = Annotated[
    bool,
    Parameter(
        help="The operator's: agents that serve every organisation. It works on the database itself.", negative=""
    ),
]
DataDir = Annotated[Path | None, Parameter(name="--data-dir", help="With --shared: the embedded stack that is meant.")]


@token_app.command(name="create")
async def create_token(
    name: str = "agents",
    /,
    *,
    agent: str | None = None,
    expires: timedelta | None = None,
    shared: Shared = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Create a token that agents open sessions with, and show it this once: only its hash is stored.

    Parameters
    ----------
    name
        What it is for, to recognise it by.
    agent
        The only name of an agent that it opens a session for; default: any.
    expires
        How long it opens anything, like 30d or 12h; default: until it is revoked.
    """
    if shared:
        made = await _create_shared(name, agent, expires, data_dir)
    else:
        seconds = None if expires is None else int(expires.total_seconds())
        with OrganisationClient.from_environment(url, org) as client:
            made = client.create_token(name, agent, seconds)
    Printer(output).show(made, lambda: _print_secret(made))


async def _create_shared(
    name: str, agent: str | None, expires: timedelta | None, data_dir: Path | None
) -> NewAgentTokenOut:
    from pavo.cli.admin.operators import connected_operator  # needs what a worker needs

    async with connected_operator(data_dir) as operator:
        made = await operator.agent_tokens.create(None, name, agent=agent, expires_in=expires)
    return NewAgentTokenOut(**AgentTokenOut.model_validate(made.token).model_dump(), secret=made.secret)


def _print_secret(made: NewAgentTokenOut) -> None:
    console().print(Text(made.secret, style="bold"), soft_wrap=True)
    # On the error stream, so that TOKEN=$(pavo agent token create …) gets nothing but the token.
    console(stderr=True).print(Text("Keep it: it is not shown again.", style="dim"))


@token_app.command(name="list")
async def list_tokens(
    *,
    shared: Shared = False,
    limit: Limit = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """List tokens for agents, newest first, without their secrets."""
    _TOKENS.show(output, await _all(shared, org, url, data_dir), lambda one: one, limit)


async def _all(shared: bool, org: uuid.UUID | None, url: str | None, data_dir: Path | None) -> list[AgentTokenOut]:
    if not shared:
        with OrganisationClient.from_environment(url, org) as client:
            return client.tokens()
    from pavo.cli.admin.operators import connected_operator  # needs what a worker needs

    async with connected_operator(data_dir) as operator:
        return [AgentTokenOut.model_validate(each) for each in await operator.agent_tokens.all_of(None)]


_TOKENS: Final[Listing[AgentTokenOut]] = Listing(
    "tokens",
    {
        "TOKEN": lambda token: f"{token.prefix}…",
        "NAME": lambda token: token.name,
        "AGENT": lambda token: token.agent or "any",
        "STATE": lambda token: token.state,
        "LAST USED": lambda token: local_time(token.used_at),
        "ID": lambda token: token.id,
    },
    nothing="There are no tokens. Make one: pavo agent token create",
    command="pavo agent token list",
)


@token_app.command(name="revoke")
async def revoke_token(
    token: str,
    /,
    *,
    shared: Shared = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """End a token, and the sessions that it opened.

    Parameters
    ----------
    token
        Its id, or the beginning that `pavo agent token list` shows.
    """
    found = _meant(await _all(shared, org, url, data_dir), token.removesuffix("…"))
    if shared:
        from pavo.cli.admin.operators import connected_operator  # needs what a worker needs

        async with connected_operator(data_dir) as operator:
            await operator.agent_tokens.revoke(None, found.id)
    else:
        with OrganisationClient.from_environment(url, org) as client:
            client.revoke_token(found.id)
    Printer(output).show({"revoked": str(found.id)}, f"✓ {found.prefix}… ({found.name}) is revoked.")


def _meant(tokens: list[AgentTokenOut], reference: str) -> AgentTokenOut:
    found = [each for each in tokens if reference in (str(each.id), each.prefix)]
    if not found:
        raise NotFound("There is no such token.", field="TOKEN", remedy="See: pavo agent token list")
    if len(found) > 1:
        raise InvalidInput("Several tokens begin so.", field="TOKEN", remedy="Give its id: pavo agent token list")
    return found[0]


give_examples(token_app, "agent token")
