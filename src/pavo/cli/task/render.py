"""How tasks look in a terminal: calm, aligned, plain without one."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from pavo.cli import output
from pavo.cli.api_client import same_api
from pavo.cli.task.progress import standing_text
from pavo.cli.task.prose import lines, markdown
from pavo.kit.clock import now
from pavo.observe.printable import printable, printable_line
from pavo.tasks.schemas import DocumentOut, FeedbackOut, TaskOut, TaskSummary
from pavo.timeline.schemas import EventOut

WIDTH: Final = 100
"""Columns at most: longer lines are hard to read."""

LIST_COLUMNS: Final = ("STAGE", "SAVED", "AGE")
"""What a list of tasks always shows in full, between id and title."""
ID_LENGTHS: Final = (36, 12, 8)
"""How much of an id a list may show: all, or its end, which is random (its beginning is the time)."""
SHORTEST_TITLE: Final = 20
"""Columns for which the id is shortened."""
ROOMY: Final = 60
"""Columns from which on two blanks stand between the columns of a list."""

STAGE_STYLE: Final = {
    "INIT": "dim",
    "PLANNING": "cyan",
    "WAIT_RFC": "yellow",
    "EXECUTING": "cyan",
    "DONE": "green",
    "STOPPED": "magenta",
    "FAILED": "red",
}

CALM: Final = Theme(
    {
        "markdown.h1": "bold",
        "markdown.h2": "bold cyan",
        "markdown.h3": "bold",
        "markdown.item.number": "cyan",
        "markdown.item.bullet": "cyan",
        "markdown.strong": "default",
        "progress.elapsed": "dim",
        "repr.number": "default",
    }
)
"""Instead of Rich's own styles, which underline headings and use magenta."""


def page(*, stderr: bool = False) -> Console:
    """A console for text that people read: at most `WIDTH` columns; without a terminal exactly that many."""
    terminal = output.console(stderr=stderr, theme=CALM)
    terminal.width = min(terminal.width, WIDTH) if _has_a_width(terminal) else WIDTH
    return terminal


def _has_a_width(terminal: Console) -> bool:
    return terminal.file.isatty() or "COLUMNS" in os.environ


def interactive() -> bool:
    """Whether a person types the input and reads the output."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def good(out: Console, text: str, note: str = "") -> None:
    """A line that tells of something done."""
    _line(out, "✓", "green", text, note)


def bad(out: Console, text: str, note: str = "") -> None:
    """A line that tells of something broken."""
    _line(out, "✗", "red", text, note)


def turn(out: Console, text: str, note: str = "") -> None:
    """A line that tells of something unexpected after which it goes on."""
    _line(out, "↻", "yellow", text, note)


def note(out: Console, text: str, more: str = "") -> None:
    """A line that tells something and marks it as neither good nor bad."""
    _line(out, "·", "dim", text, more)


def _line(out: Console, mark: str, style: str, text: str, note: str) -> None:
    row = Text.assemble((mark, style), " ", printable_line(text))
    if note:
        row.append(f"  {printable_line(note)}", "dim")
    out.print(row, soft_wrap=not out.is_terminal)


def print_block(out: Console, what: RenderableType) -> None:
    """Print a block of text; in pipes and files without the blanks at the ends of its lines."""
    if out.is_terminal:
        out.print(what)
        return
    with out.capture() as captured:
        out.print(what)
    for line in captured.get().splitlines():
        out.print(line.rstrip(), soft_wrap=True)


def command(out: Console, purpose: str, line: str) -> None:
    """A command that the reader may type next, never broken into two lines; it reaches the API of this command."""
    line += same_api()
    out.print(Text.assemble("  ", (f"{purpose:<9}", "dim"), (printable_line(line), "cyan")), soft_wrap=True)


def plan(document: DocumentOut, answered: Sequence[FeedbackOut] = ()) -> RenderableType:
    """A version of the plan: what it will do, step by step, and what became of the feedback before it."""
    head = Text.assemble(
        (f"Plan v{document.version}", "bold"), (f"  {document.status.lower()}  {document.hash[:12]}", "dim")
    )
    steps = Table.grid(padding=(0, 1))
    steps.add_column(justify="right", style="cyan", no_wrap=True)
    steps.add_column(overflow="fold")
    for number, step in enumerate(document.content.get("steps", ()), 1):
        steps.add_row(str(number), Text(printable_line(step["title"]), "bold"))
        if step.get("detail"):
            steps.add_row("", lines(step["detail"], "dim"))
    parts: list[RenderableType] = [head, lines(document.content.get("summary", "")), Text(), steps]
    if answered:
        parts += [Text(), _answers(answered)]
    if document.feedback:
        parts += [Text(), _answers(document.feedback)]
    return Padding(Group(*parts), (1, 2, 1, 2))


def _answers(items: Sequence[FeedbackOut]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for item in items:
        where = f"step {item.step}: " if item.step else ""
        table.add_row(Text("“", "yellow"), Text.assemble((where, "dim"), printable(item.body)))
        if item.answer:
            table.add_row(Text("→", "green"), Text(printable(item.answer), "dim"))
    return table


def report(document: DocumentOut, view: TaskOut | None = None) -> RenderableType:
    """The report; where the task is given, with what its calls of models took."""
    body = Padding(markdown(document.body), (1, 2, 1, 2))
    told = None if view is None else used(view)
    return body if told is None else Group(body, Padding(Text(f"Models: {told}", "dim"), (0, 2, 1, 2)))


def task(view: TaskOut) -> RenderableType:
    """One task, with all that people want to know of it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("task", str(view.id))
    table.add_row("stage", Text(f"{view.stage}  {view.stage_status}", STAGE_STYLE.get(view.stage, "")))
    table.add_row("recorded", standing_text(view))
    if view.next_retry_at is not None:
        table.add_row("tried again", coming(view.next_retry_at))
    agent = view.agent_type + "".join(f"  {k}={v}" for k, v in view.agent_options.items() if v is not None)
    table.add_row("agent", Text(printable_line(agent)))
    if view.step_seconds is not None:
        table.add_row("limit", f"{view.step_seconds:g} s for a step")
    if view.code is not None:
        table.add_row("code", Text(printable_line(view.code)))
    if view.plan is not None:
        table.add_row("plan", f"v{view.plan.version}  {view.plan.status.lower()}  {view.plan.hash[:12]}")
    for row in took(view):
        table.add_row(*row)
    if view.parent_id is not None:
        table.add_row("parent", f"task {view.parent_id}")
    table.add_row("workflow", view.workflow_id)
    table.add_row("created", ago(view.created_at))
    table.add_row("updated", ago(view.updated_at))
    parts: list[RenderableType] = [Text(printable_line(view.title), "bold"), table]
    if view.error is not None:
        parts += [Text(), failure(view)]
    return Group(*parts)


def took(view: TaskOut) -> Sequence[tuple[str, str]]:
    """What calls of models and attempts took, as rows; none of what there was nothing of."""
    rows = (("models", used(view)), ("work", worked(view)))
    return [(name, told) for name, told in rows if told is not None]


def used(view: TaskOut) -> str | None:
    """What its calls of models took, in a line; None: it made none."""
    if (found := view.usage) is None or not found.calls:
        return None
    told = f"{found.calls:,} call{'s' * (found.calls != 1)}, {found.tokens_in:,} tokens in, {found.tokens_out:,} out"
    parts = [f"cost {found.cost:,.4f}"] * bool(found.cost)
    parts += [f"{found.tokens_cached:,} cached"] * bool(found.tokens_cached)
    parts += [f"{found.unpriced:,} of unknown price"] * bool(found.unpriced)
    parts += [f"{found.lost:,} cut"] * bool(found.lost)
    return "; ".join([told, *parts, f"{found.seconds:,.0f} s"])


def worked(view: TaskOut) -> str | None:
    """What its attempts took, in a line; None: none has recorded anything."""
    if (found := view.usage) is None or not (found.checkpoints or found.tool_calls):
        return None
    tools = f", {found.tool_calls:,} call{'s' * (found.tool_calls != 1)} of tools" if found.tool_calls else ""
    return f"{found.checkpoints:,} checkpoint{'s' * (found.checkpoints != 1)}{tools}, {found.working_seconds:,.0f} s"


def failure(view: TaskSummary) -> RenderableType:
    """Why the task failed, and what to do."""
    found = view.error
    if found is None:
        return Text()
    where = f" at checkpoint {found.step}" if found.step is not None else ""
    shown = Table.grid(padding=(0, 1))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    shown.add_row(Text("✗", "red"), Text(f"{printable_line(found.type)}{where}: {printable(found.cause)}"))
    if found.remedy:
        shown.add_row("", Text(printable_line(found.remedy), "dim"))
    return shown


def print_tasks(views: Sequence[TaskSummary]) -> None:
    """Print a list of tasks, as wide as the terminal is; in a pipe nothing is cut."""
    out = output.console()
    if _has_a_width(out):
        print_block(out, tasks(views, out.width))
    else:
        output.print_unfolded(out, tasks(views, output.PIPE_WIDTH))


def tasks(views: Sequence[TaskSummary], width: int) -> RenderableType:
    """A list of tasks, each in one line.

    Where there is no room the title is cut, then the id to its end, by which every command finds the task as well.

    Args:
        width: columns that there are.
    """
    rows = [(view.stage, _steps(view), ago(view.created_at).removesuffix(" ago")) for view in views]
    taken = sum(max(map(len, (name, *cells))) for name, *cells in zip(LIST_COLUMNS, *rows, strict=True))
    gap = 2 if width >= ROOMY else 1
    room = width - taken - (len(LIST_COLUMNS) + 1) * gap
    id_length = next((length for length in ID_LENGTHS if room - length >= SHORTEST_TITLE), ID_LENGTHS[-1])
    table = Table(box=None, padding=(0, gap, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("TASK", no_wrap=True)
    for name, justify in zip(LIST_COLUMNS, ("left", "right", "right"), strict=True):
        table.add_column(name, no_wrap=True, justify=justify)
    table.add_column("TITLE", overflow="ellipsis")  # may be narrowed, as the only one
    for view, (stage, steps, age) in zip(views, rows, strict=True):
        title = Text(printable_line(view.title), no_wrap=True, overflow="ellipsis")
        styled = Text(stage, STAGE_STYLE.get(stage, ""))
        table.add_row(str(view.id)[-id_length:], styled, steps, Text(age, "dim"), title)
    return table


def _steps(view: TaskSummary) -> str:
    return f"{view.steps}/{view.total}" if view.total is not None else str(view.steps)


def event(found: EventOut) -> Text:
    """One event of the timeline in one line."""
    members = found.model_extra or {}
    told = "  ".join(f"{printable_line(key)}={_short(value)}" for key, value in members.items())
    at = found.at.astimezone().strftime("%H:%M:%S")
    return Text.assemble((f"{found.seq:>5}  {at}  ", "dim"), (f"{printable_line(found.type):<10}", "cyan"), told)


def _short(value: Any) -> str:
    text = printable_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else text[:59] + "…"


def coming(moment: datetime) -> str:
    """A moment to come, to the second, as people read it; one that is over is due."""
    left = int((moment - now()).total_seconds())
    when = f"{moment.astimezone():%H:%M:%S}"
    return f"at {when}, in {left} s" if left >= 0 else f"since {when}: it waits for a worker"


def ago(moment: datetime) -> str:
    """How long ago, in the unit that people would say."""
    seconds = max(0, int((now() - moment).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
