"""`pavo logs`."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Lines, layout_of
from pavo.deploy.local.machine.logs import new_lines, tail
from pavo.errors import NotFound
from pavo.observe.printable import printable_line

NAME_WIDTH: Final = 10
"""Columns for the part's name before a line."""


def logs(
    part: str | None = None,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: Lines = 100,
    data_dir: Path | None = None,
    output: Output = "text",
) -> int:
    """Show the parts' logs; with -o json a JSON object {part, line} for each line.

    Args:
        part: one part, for example worker-1; all without.
        follow: go on until Ctrl-C.
        lines: how many of the newest lines of each part.
        data_dir: the stack's data directory.
    """
    layout = layout_of(data_dir)
    files = {file.stem: file for file in sorted(layout.logs.glob("*.log"))}
    if part is not None and part not in files:
        raise NotFound(f"There is no log of {part}.", field="part", remedy=f"Logs: {', '.join(files) or 'none yet'}.")
    chosen = {name: file for name, file in files.items() if part in (None, name)}
    show = partial(show_log_line, Printer(output), name_width=NAME_WIDTH if part is None else 0)
    offsets = {name: file.stat().st_size for name, file in chosen.items()}
    for name, file in chosen.items():
        _show_all(show, name, tail(file, lines))
    while follow:
        for name, file in chosen.items():
            fresh, offsets[name] = new_lines(file, offsets[name])
            _show_all(show, name, fresh)
        time.sleep(0.2)
    return 0


def show_log_line(printer: Printer, part: str, line: str, *, name_width: int = NAME_WIDTH) -> None:
    """A line of a log; for people with the part's name before it, if that is given a width."""
    name = f"{printable_line(part):<{name_width}} " if name_width else ""
    shown = printable_line(line, tabs=True)
    printer.show_line({"part": part, "line": line}, partial(print, f"{name}{shown}", flush=True))


def _show_all(show: Callable[[str, str], None], part: str, lines: Iterable[str]) -> None:
    for line in lines:
        show(part, line)
