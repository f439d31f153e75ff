"""How every command prints: text for people, JSON for programs. How a task itself looks is in `render.py`."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

Format: TypeAlias = Literal["text", "json"]
Output: TypeAlias = Annotated[Format, Parameter(name=["--output", "-o"], help="text for people, json for programs.")]
"""A command's parameter `output`."""


def console(*, stderr: bool = False, markup: bool = True, theme: Theme | None = None) -> Console:
    """A console on standard output (or error) that is plain without a terminal and with NO_COLOR."""
    return Console(stderr=stderr, highlight=False, emoji=False, markup=markup, theme=theme)


def say(line: str) -> None:
    """One line as it is, never broken into two."""
    console().print(line, soft_wrap=True, markup=False)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON document on standard output; models, times and ids as the API shows them.

    Args:
        indent: None puts it into one line: a stream of such lines is JSON Lines.
    """
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent, default=_plain) + "\n")
    sys.stdout.flush()


def _plain(value: object) -> Any:
    # Imported here: `pavo --help` needs neither.
    from pydantic import BaseModel

    from pavo.kit.clock import iso

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return iso(value) if isinstance(value, datetime) else str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, fold: bool = False, nothing: str = "") -> None:
    """An aligned table without lines; its cells are text as it is.

    Args:
        fold: what does not fit goes on in the next line, instead of being cut.
        nothing: said instead of a table without rows.
    """
    if nothing and not rows:
        console().print(Text(nothing, style="dim"))
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold" if fold else "ellipsis")
    for row in rows:
        shown.add_row(*(Text(str(cell)) for cell in row))
    console().print(shown)


def fields(values: Mapping[str, object], *, width: int = 12) -> None:
    """A line for each value, its name before it."""
    for name, value in values.items():
        console().print(Text.assemble((f"{name:<{width}}", "bold"), str(value)), soft_wrap=True)
