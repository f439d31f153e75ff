"""Somebody's Markdown in a terminal: calm, and whole. What a reviewer accepts is what is shown: nothing is cut."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.markdown import Heading, Markdown, TableElement
from rich.table import Table
from rich.text import Text

from pavo.cli.table import fitting
from pavo.observe.printable import printable


class _QuietHeading(Heading):
    """Headings at the left and without a box; Rich centres them."""

    def __rich_console__(self, console: Console, options: Any) -> Iterator[RenderableType]:
        self.text.justify = "left"
        yield self.text


class _WholeTable(TableElement):
    """A table whose cells go on in the next line, or stand below one another; Rich cuts them, and drops columns."""

    def __rich_console__(self, console: Console, options: Any) -> Iterator[RenderableType]:
        heads = [cell.content for cell in self.header.row.cells] if self.header and self.header.row else []
        rows = [[cell.content for cell in row.cells] for row in self.body.rows] if self.body else []
        plain = [[cell.plain for cell in row] for row in rows]
        widths = fitting([head.plain for head in heads], plain, options.max_width - 1)
        if widths is None:
            for row in rows:
                yield Text()
                for head, cell in zip(heads, row, strict=True):
                    yield Text.assemble((f"{head.plain}: ", "bold"), cell, overflow="fold")
            return
        shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="markdown.table.header")
        for head, width in zip(heads, widths, strict=True):
            shown.add_column(head, width=width, overflow="fold")
        for row in rows:
            shown.add_row(*row)
        yield shown


class _QuietMarkdown(Markdown):
    elements = {**Markdown.elements, "heading_open": _QuietHeading, "table_open": _WholeTable}  # noqa: RUF012 - as in the base class


def lines(text: str, style: str = "none") -> Markdown:
    """Markdown that keeps its line breaks: agents and reviewers write lines, not paragraphs."""
    return markdown(printable(text).replace("\n", "  \n"), style)


def markdown(text: str, style: str = "none") -> Markdown:
    """Somebody's Markdown; a link shows its address, which may be another than its words say."""
    return _QuietMarkdown(printable(text), style=style, hyperlinks=False)
