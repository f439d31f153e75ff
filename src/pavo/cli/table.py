"""Tables that fit any width: no column disappears, nothing in them is cut.

Where a row does not fit in one line, the columns with long text are narrowed and go on in the next line. Where that is
not enough, or an id would be broken (nobody could copy it), each row is a block with a line for each column.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pavo.cli.output import Format, Printer, console, print_unfolded, say
from pavo.observe.printable import printable_line

GAP: Final = 2
"""Blanks between two columns."""
NARROWEST: Final = 18
"""Columns that are left to a long text at least: with fewer, its words are broken."""
LONGEST_ID: Final = 36
"""Columns of a UUID."""
ROWS_AT_ONCE: Final = 50
"""Rows of a list that a terminal gets where no other number is asked for: what came first would scroll away."""

Cells = Sequence[str]
T = TypeVar("T")


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, nothing: str = "", to: Console | None = None
) -> None:
    """An aligned table without lines. Its cells are plain text, not markup. In a pipe each row is one line.

    Args:
        nothing: said instead of a table without rows.
    """
    out = to or console()
    if nothing and not rows:
        out.print(Text(nothing, style="dim"), soft_wrap=True)
        return
    heads = [printable_line(column).upper() for column in columns]
    cells = [[printable_line(str(cell)) for cell in row] for row in rows]
    if out.file.isatty():
        print_fitting(out, heads, cells)
    else:
        print_unfolded(out, _lines(heads, cells, _natural(heads, cells)))


def print_fitting(out: Console, heads: Cells, cells: Sequence[Cells]) -> None:
    """Print these rows, as wide as the console is at most."""
    widths = fitting(heads, cells, out.width)
    if widths is not None:
        out.print(_lines(heads, cells, widths))
        return
    for index, row in enumerate(cells):
        if index:
            out.print()
        _print_block(out, heads, row)


def fitting(heads: Cells, cells: Sequence[Cells], width: int) -> list[int] | None:
    """How wide the columns are; None where they do not fit beside one another."""
    natural = _natural(heads, cells)
    columns = zip(*cells, strict=True) if cells else ((),) * len(heads)
    widths = [
        max(NARROWEST, cell_len(head)) if _may_be_narrowed(column, wide) else wide
        for head, column, wide in zip(heads, columns, natural, strict=True)
    ]
    spare = width - GAP * (len(widths) - 1) - sum(widths)
    if spare < 0:
        return None
    for index in sorted(range(len(widths)), key=lambda at: natural[at]):
        more = min(natural[index] - widths[index], spare)
        widths[index] += more
        spare -= more
    return widths


def _may_be_narrowed(column: Cells, wide: int) -> bool:
    """Whether its cells can go on in the next line: they have words, or are longer than any id."""
    long = [cell for cell in column if cell_len(cell) > NARROWEST]
    return bool(long) and (wide > LONGEST_ID or all(" " in cell for cell in long))


def _natural(heads: Cells, cells: Sequence[Cells]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]


def _lines(heads: Cells, cells: Sequence[Cells], widths: Sequence[int]) -> RenderableType:
    shown = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for head, width in zip(heads, widths, strict=True):
        shown.add_column(head, width=width, overflow="fold")
    for row in cells:
        shown.add_row(*map(Text, row))
    return shown


def _print_block(out: Console, heads: Cells, row: Cells) -> None:
    """A row as a block; what does not fit beside its name stands below it, and is broken only where it must be."""
    beside = max(map(cell_len, heads)) + GAP
    for head, cell in zip(heads, row, strict=True):
        if not cell:
            continue
        name = Text(head, "bold")
        fits = beside + cell_len(cell) <= out.width
        words = " " in cell or cell_len(cell) > out.width - GAP
        if fits or (words and out.width - beside >= NARROWEST):
            grid = Table.grid(padding=(0, GAP, 0, 0))
            grid.add_column(width=beside - GAP)
            grid.add_column(overflow="fold", max_width=out.width - beside)
            grid.add_row(name, Text(cell))
            out.print(grid)
        else:
            out.print(name)
            grid = Table.grid(padding=(0, 0, 0, GAP))
            grid.add_column(overflow="fold", max_width=out.width - GAP)
            grid.add_row(Text(cell))
            out.print(grid)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """How a list of things is shown."""

    key: str
    """The name of the list in the document for programs."""
    columns: Mapping[str, Callable[[T], object]]
    """Of each column its head, and what stands in it."""
    nothing: str
    """Said instead of an empty list."""
    command: str
    """What shows the list, as it is typed; with -n it shows more."""

    def show(self, output: Format, found: Sequence[T], document: Callable[[T], object], limit: int | None) -> None:
        """Print the first `limit` of them; without one all, of which a terminal gets the first `ROWS_AT_ONCE`."""
        wanted = found[:limit]
        Printer(output).show({self.key: list(map(document, wanted))}, lambda: self._print(found, limit))

    def _print(self, found: Sequence[T], limit: int | None) -> None:
        terminal = console().file.isatty()
        shown = found[: limit or (ROWS_AT_ONCE if terminal else len(found))]
        rows = [[cell(one) for cell in self.columns.values()] for one in shown]
        table(list(self.columns), rows, nothing=self.nothing)
        if len(shown) < len(found):
            # In a pipe to the error stream: a program reads the rows.
            left_out = f"These are the first {len(shown):,} of {len(found):,}. All: {self.command} -n {len(found)}"
            say(left_out, to=console(stderr=not terminal))
