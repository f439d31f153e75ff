"""How every command prints: text for people, JSON for programs. How a task itself looks is in `task/render.py`."""

import json
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from cyclopts import Parameter
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme

from pavo.observe.printable import printable, printable_line

Format: TypeAlias = Literal["text", "json"]
Output: TypeAlias = Annotated[Format, Parameter(name=["--output", "-o"], help="text for people, json for programs.")]
"""A command's parameter `output`."""


PIPE_WIDTH: Final = 1_000_000
"""Columns of a console in a pipe: more than any row has."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process; what a closed pipe means is decided once, in `main`."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """What a renderable becomes; the last place at which all text passes, so nothing unprintable gets by.

        Text of others is made `printable` before, where its width is still open; here it would no longer fit.
        """
        for segment in super().render(renderable, options):
            yield segment if segment.control else _harmless(segment)


def _harmless(segment: Segment) -> Segment:
    # A link would hide the address behind words, and its address is not escaped by Rich.
    style = segment.style.update_link(None) if segment.style and segment.style.link else segment.style
    text = printable(segment.text)
    return segment if text == segment.text and style is segment.style else Segment(text, style)


def console(*, stderr: bool = False, theme: Theme | None = None) -> Console:
    """A console on standard output (or error) that is plain without a terminal and with NO_COLOR.

    It never takes square brackets for markup, for they may be somebody's text: what has a style is a `Text`.
    """
    # Rich's own no_color leaves bold, spinner and cursor codes; told that there is no terminal, it prints none of them.
    plain = False if os.environ.get("NO_COLOR") else None
    return _Console(stderr=stderr, highlight=False, emoji=False, markup=False, theme=theme, force_terminal=plain)


def say(line: str, *, to: Console | None = None) -> None:
    """What is to be said, as it is: none of its lines is broken into two."""
    (to or console()).print(printable(line), soft_wrap=True)


def teller(shown: Console) -> Callable[[str], None]:
    """`say` on this console, for longer work that tells how far it is."""
    return lambda line: say(line, to=shown)


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints what a command has to say in the form that `-o` asked for: the one place that tells the two apart."""

    output: Format

    @property
    def for_programs(self) -> bool:
        """Whether standard output has the document alone, so that all else goes to the error stream."""
        return self.output == "json"

    @property
    def people(self) -> Console:
        """Where people read what happens meanwhile: with -o json the error stream."""
        return console(stderr=self.for_programs)

    def show(self, document: object, text: str | Callable[[], object] = "") -> None:
        """The result: a JSON document for programs, text for people.

        Args:
            document: as `print_json` takes it.
            text: printed as it is, or a function that prints it; people get nothing if it is empty.
        """
        if self.for_programs:
            print_json(document)
        elif callable(text):
            text()
        elif text:
            say(text)

    def show_line(self, document: object, text: Callable[[], object]) -> None:
        """One of many results, each as soon as it is there: for programs a line of JSON Lines."""
        if self.for_programs:
            print_json(document, indent=None)
        else:
            text()


@contextmanager
def waiting(out: Console, what: str) -> Generator[None]:
    """A spinner while something is waited for; nothing without a terminal."""
    if not out.is_terminal:
        yield
        return
    with out.status(Text(what, "dim"), spinner="dots", spinner_style="cyan"):
        yield


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON document on standard output; models, times and ids as the API shows them.

    What a terminal could obey is written as JSON's escapes, so it reads back as it was.

    Args:
        indent: None puts it into one line: a stream of such lines is JSON Lines.
    """
    sys.stdout.write(printable(json.dumps(value, ensure_ascii=False, indent=indent, default=_plain)) + "\n")
    sys.stdout.flush()


def _plain(value: object) -> Any:
    # Imported here: `pavo --help` needs neither.
    from pydantic import BaseModel

    from pavo.kit.clock import iso

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return iso(value) if isinstance(value, datetime) else str(value)


def print_unfolded(out: Console, shown: RenderableType) -> None:
    """Keep each row in one line, however long: a program may read them."""
    before, out.width = out.width, PIPE_WIDTH
    with out.capture() as captured:
        out.print(shown)
    out.width = before
    for line in captured.get().splitlines():
        say(line.rstrip(), to=out)


def fields(values: Mapping[str, object], *, width: int = 12, to: Console | None = None) -> None:
    """Print a line for each value, after its name; a longer name than `width` makes room for all."""
    width = max([width, *(len(name) + 1 for name in values)])
    for name, value in values.items():
        (to or console()).print(Text.assemble((f"{name:<{width}}", "bold"), printable_line(str(value))), soft_wrap=True)
