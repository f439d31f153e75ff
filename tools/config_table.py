"""Write the one table of variables: `python tools/config_table.py > docs/configuration.md`."""

import ast
import inspect
from itertools import pairwise

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pavo import config

HEAD = """# Configuration

Every setting is an environment variable, read once when a process starts (`src/pavo/config.py`). `pavo up` sets the
addresses of the parts that it starts itself; it and `pavo deploy` keep the settings of the first start
([deployment](deployment.md#settings)). This file is written by `tools/config_table.py`; a test compares the two.
A wrong value ends the process with a message that names the variable. Temporal's client also reads Temporal's own
environment configuration (`envconfig`) for what is not set here.

| variable | default | what it is |
|---|---|---|
"""

COMMAND_LINE = """| `PAVO_URL` | the running stack's | Command line: URL of the API. |
| `PAVO_TOKEN` |  | Command line: API token to send. |
| `PAVO_USER` |  | Command line: e-mail address to act as in dev mode. |
| `PAVO_CACHE_DIR` | `$XDG_CACHE_HOME/pavo`, else `~/.cache/pavo` | Command line: where built programs are kept. |
| `PGPASSWORD` |  | `pavo deploy start`: password for `--postgres URL` when the URL has none; then remembered. |
| `REDISCLI_AUTH` |  | `pavo deploy start`: password for `--redis URL` when the URL has none; then remembered. |
| `NO_COLOR` |  | Command line: any value switches colours off. |"""
"""Read by the command line itself, beside the settings."""


def texts(section: type) -> dict[str, str]:
    """The text under each field of a settings class."""
    body = ast.parse(inspect.getsource(section)).body[0].body  # type: ignore[attr-defined]
    found = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[field.target.id] = " ".join(str(text.value.value).split())  # type: ignore[union-attr]
    return found


def names(field: FieldInfo) -> list[str]:
    """The variables of a field, its aliases after the first."""
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]


def rows() -> list[str]:
    """One line of Markdown for each variable."""
    lines = []
    for outer in config.Settings.model_fields.values():
        section = outer.default_factory
        described = texts(section)  # type: ignore[arg-type]
        for name, field in section.model_fields.items():  # type: ignore[union-attr]
            first, *aliases = names(field)
            shown = f"`{first}`" + "".join(f" (or `{alias}`)" for alias in aliases)
            empty = field.default in (None, "", PydanticUndefined)
            default = (
                "" if empty else f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
            )
            lines.append(f"| {shown} | {default} | {described[name]} |")
    return [*lines, *COMMAND_LINE.splitlines()]


if __name__ == "__main__":
    print(HEAD + "\n".join(rows()))
