"""How commands print: tables for people, JSON for programs."""

import os
import sys
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import orjson
from rich.console import Console
from rich.table import Table

Format: TypeAlias = Literal["text", "json"]


def console(*, stderr: bool = False) -> Console:
    """A console that is plain without a terminal and with NO_COLOR."""
    return Console(stderr=stderr, highlight=False, no_color=bool(os.environ.get("NO_COLOR")) or None)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, fold: bool = False) -> None:
    """An aligned table without lines.

    Args:
        fold: what does not fit goes on in the next line, instead of being cut.
    """
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold" if fold else "ellipsis")
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    console().print(shown)
