"""`pavo token`: API tokens."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from cyclopts import App
from rich.text import Text

from pavo.accounts.domain import TokenInfo
from pavo.cli.admin.operators import DataDir, connected_operator, local_time
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer, console
from pavo.cli.parameters import Limit
from pavo.cli.table import Listing

token_app = App(name="token", help="API tokens: create, list, revoke.", help_epilogue=epilogue("token"))


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
    async with connected_operator(data_dir) as operator:
        created = await operator.accounts.create_token(email, name, expires)
    document = {"token": created.secret, **_document(created.token)}
    Printer(output).show(document, lambda: _print_secret(created.secret))


def _print_secret(secret: str) -> None:
    console().print(Text(secret, style="bold"), soft_wrap=True)
    # On the error stream, so that TOKEN=$(pavo token create …) gets nothing but the token.
    console(stderr=True).print(Text("Keep it: it is not shown again.", style="dim"))


@token_app.command(name="list")
async def list_tokens(
    *, email: str | None = None, limit: Limit = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """List API tokens, newest first, without their secrets.

    Parameters
    ----------
    email
        Only this user's.
    """
    async with connected_operator(data_dir) as operator:
        tokens = await operator.accounts.tokens(email)
    _TOKENS.show(output, tokens, _document, limit)


_TOKENS: Final[Listing[TokenInfo]] = Listing(
    "tokens",
    {
        "TOKEN": lambda token: f"{token.prefix}…",
        "NAME": lambda token: token.name,
        "USER": lambda token: token.email,
        "STATE": lambda token: token.state,
        "LAST USED": lambda token: local_time(token.last_used_at),
        "ID": lambda token: token.id,
    },
    nothing="There are no tokens. Make one: pavo token create EMAIL",
    command="pavo token list",
)


@token_app.command(name="revoke")
async def revoke_token(token: str, /, *, output: Output = "text", data_dir: DataDir = None) -> None:
    """End an API token and every session that it opened; running API processes notice within 5 s.

    Parameters
    ----------
    token
        Its id, or the beginning that `pavo token list` shows.
    """
    async with connected_operator(data_dir) as operator:
        revoked = await operator.accounts.revoke_token(token.removesuffix("…"))
    text = f"✓ {revoked.prefix}… ({revoked.name}, {revoked.email}) is revoked."
    Printer(output).show(_document(revoked), text)


def _document(token: TokenInfo) -> dict[str, Any]:
    return asdict(token)


give_examples(token_app, "token")
