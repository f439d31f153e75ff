"""`pavo secret`: an organisation's secrets. No command shows a value, and none takes one as a word."""

import getpass
import sys
from dataclasses import asdict
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from pavo.accounts.secrets.domain import MAX_VALUE_BYTES, Secret, SecretChange, checked_name
from pavo.cli.admin.operators import DataDir, OrganisationName, connected_operator, local_time
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Limit
from pavo.cli.table import Listing, table
from pavo.errors import InvalidInput

secret_app = App(
    name="secret",
    help="An organisation's secrets, which its agents read if they declare them.",
    help_epilogue=epilogue("secret"),
)
OPERATOR: Final = "operator"
"""Who is shown where nobody of the organisation did it."""


@secret_app.command(name="set")
async def set_secret(
    name: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Set a secret, new or not: a terminal asks for the value, else it is what standard input has.

    Parameters
    ----------
    name
        As agents declare it, for example OPENAI_API_KEY.
    """
    checked_name(name)
    value = _asked(name)
    async with connected_operator(data_dir) as operator:
        found = await operator.secrets.set(await operator.organisation(org), name, value)
    Printer(output).show(asdict(found), f"✓ {found.name} is set. Agents that declare it get it from now on.")


def _asked(name: str) -> str:
    """The value; of standard input without the line's end that `echo` adds."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{name}: ")
    data = sys.stdin.buffer.read(MAX_VALUE_BYTES + 2)
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        told = "Standard input is not UTF-8."
        raise InvalidInput(told, field="value", remedy="Encode binary data, as in Base64.") from None


@secret_app.command(name="list")
async def list_secrets(
    *, limit: Limit = None, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """List an organisation's secrets, and who set them when; no values."""
    async with connected_operator(data_dir) as operator:
        found = await operator.secrets.all_of(await operator.organisation(org))
    _SECRETS.show(output, found, asdict, limit)


_SECRETS: Final[Listing[Secret]] = Listing(
    "secrets",
    {
        "NAME": lambda one: one.name,
        "SET": lambda one: local_time(one.set_at),
        "BY": lambda one: one.set_by or OPERATOR,
        "KEY": lambda one: one.key,
    },
    nothing="There are no secrets. Set one: pavo secret set NAME",
    command="pavo secret list",
)


@secret_app.command(name="remove")
async def remove_secret(
    name: str, /, *, org: OrganisationName = None, output: Output = "text", data_dir: DataDir = None
) -> None:
    """Remove a secret; agents that ask for it fail and say so.

    Parameters
    ----------
    name
        As `pavo secret list` shows it.
    """
    async with connected_operator(data_dir) as operator:
        await operator.secrets.remove(await operator.organisation(org), name)
    Printer(output).show({"removed": name}, f"✓ {name} is removed.")


@secret_app.command(name="changes")
async def list_changes(
    *,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 20,
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """List who set and removed secrets, newest first.

    Parameters
    ----------
    limit
        Changes at most, 200 or fewer.
    """
    if not 1 <= limit <= 200:
        raise InvalidInput(f"{limit} is no number of changes.", field="--limit", remedy="Give 1 to 200.")
    async with connected_operator(data_dir) as operator:
        page = await operator.secrets.changes(await operator.organisation(org), None, limit)
    document: dict[str, Any] = {"changes": [asdict(one) for one in page.items], "next_cursor": page.next_cursor}
    Printer(output).show(document, lambda: _print_changes(page.items))


def _print_changes(found: Any) -> None:
    changes: list[SecretChange] = list(found)
    rows = [(local_time(one.at), one.name, one.change, one.by or OPERATOR) for one in changes]
    table(("AT", "NAME", "CHANGE", "BY"), rows, nothing="No secret was ever set.")


@secret_app.command(name="rotate")
async def rotate_secrets(*, output: Output = "text", data_dir: DataDir = None) -> int:
    """Seal the secrets of all organisations anew by the current key; exit code 1 where one cannot be opened.

    Begin with a new key in force: pavo deploy set --generate PAVO_SEALING_KEY, then restart workers and API. It may be
    interrupted, and goes on when it is called again.
    """
    async with connected_operator(data_dir) as operator:
        done = await operator.secrets.rotate()
    lines = [f"✓ {done.resealed} secrets are sealed anew."]
    lines += [f"✗ {each} is sealed by a key that is not here." for each in done.unreadable]
    Printer(output).show(asdict(done), "\n".join(lines))
    return 1 if done.unreadable else 0


give_examples(secret_app, "secret")
