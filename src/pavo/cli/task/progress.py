"""Showing how far a task is: a bar on a terminal, a line now and then in a pipe."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from pavo.agents.event_types import MODEL_TEXT
from pavo.observe.printable import printable_line
from pavo.tasks.domain import DONE
from pavo.tasks.schemas import TaskOut
from pavo.timeline.merge import ANEW
from pavo.timeline.schemas import EventOut

PLAIN_LINES: Final = 10
"""How many lines a pipe gets for a whole task, if its total is known."""
TEXT: Final = "text"
"""The type of a delta that is shown, beside that of models' answers."""
SAID_WIDTH: Final = 76
"""Characters of a line after which the next blank ends it."""


class NoProgress:
    """Shows nothing."""

    def see(self, event: EventOut) -> None:
        """Do nothing."""


class ProgressLines:
    """For pipes and files: a line now and then."""

    def __init__(self, out: Console, view: TaskOut) -> None:
        self._out = out
        self._told = _tenths(view.progress, view.total)

    def see(self, event: EventOut) -> None:
        """Print a line for each tenth of the total that is reached."""
        if event.type != "tick":
            return
        data = event.model_extra or {}
        tenths = _tenths(data["progress"], data.get("total"))
        if tenths > self._told:
            self._told = tenths
            self._out.print(f"  {steps_text(data['progress'], data.get('total'))}")


class ProgressBar:
    """For terminals."""

    def __init__(self, progress: Progress, view: TaskOut) -> None:
        self._progress = progress
        self._row = progress.add_task("", total=view.total, completed=view.progress)

    def see(self, event: EventOut) -> None:
        """Move the bar."""
        if event.type == "tick":
            data = event.model_extra or {}
            self._progress.update(self._row, completed=data["progress"], total=data.get("total"))


ProgressView = NoProgress | ProgressLines | ProgressBar


class _StepsColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        return Text(steps_text(int(task.completed), total))


@contextmanager
def progress_view(out: Console | None, view: TaskOut) -> Generator[ProgressView]:
    """What shows how far the task is; give each event to its `see`."""
    if out is None:
        yield NoProgress()
    elif not out.is_terminal:
        yield ProgressLines(out, view)
    else:
        with bar(out) as progress:
            yield ProgressBar(progress, view)


def bar(out: Console) -> Progress:
    """The progress bar."""
    return Progress(
        TextColumn(""),
        SpinnerColumn("dots", style="cyan", finished_text=Text("✓", "green")),
        BarColumn(40, style="grey30", complete_style="cyan", finished_style="green", pulse_style="cyan"),
        _StepsColumn(),
        TimeElapsedColumn(),
        console=out,
    )


@dataclass(slots=True)
class _Said:
    """A text that an agent, or its model, is saying."""

    which: Any
    """Another text of its type has another number."""
    length: int = 0
    """Of what came of it, in characters: it comes again after a reconnect."""
    rest: str = ""
    """Of a line that is not whole yet."""


class SaidLines:
    """What an agent says before it is recorded: a terminal cannot take back what stands above, so it gets whole lines,
    and a word where they are taken back."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._place = (0, 0)
        """Attempt and step."""
        self._texts: dict[str, _Said] = {}
        """Of this place, by type."""
        self._shown = False

    def see(self, name: str, data: str) -> None:
        """Take a message of the stream that is no event."""
        told: dict[str, Any] = json.loads(data)
        if name == "superseded":
            if self._shown:
                self._out.print(Text("  (taken back: it was not recorded)", "dim"))
            self._begin((0, 0))
        elif name == "delta":
            if (place := (told["attempt"], told["step"])) != self._place:
                self._begin(place)
            for delta in told["deltas"]:
                kind = delta["type"]
                if "offset" in delta and (kind == TEXT or kind.partition(":")[0] == MODEL_TEXT):
                    self._add(kind, delta["offset"], delta["data"])

    def passed(self, event: EventOut) -> None:
        """What was said is recorded: its last line is whole."""
        if event.type in ("tick", "plan", "report"):
            for said in self._texts.values():
                if said.rest:
                    self._print(said.rest)
                said.rest = ""
            self._shown = False

    def _begin(self, place: tuple[int, int]) -> None:
        self._place, self._texts, self._shown = place, {}, False

    def _add(self, kind: str, offset: int, data: Mapping[str, Any]) -> None:
        said, text = self._texts.get(kind), data["text"]
        if said is None or said.which != data.get(ANEW):
            if said is not None and said.length > len(said.rest):
                self._out.print(Text("  (taken back: what follows takes its place)", "dim"))
            said = self._texts[kind] = _Said(data.get(ANEW))
        *lines, said.rest = (said.rest + text[max(0, said.length - offset) :]).split("\n")
        said.length = max(said.length, offset + len(text))
        for line in lines:
            self._print(line)
        if len(said.rest) > SAID_WIDTH and " " in said.rest:
            line, _, said.rest = said.rest.rpartition(" ")
            self._print(line)

    def _print(self, line: str) -> None:
        self._shown = True
        self._out.print(Text(f"  {printable_line(line, tabs=True)}", "dim"))


def said_lines(out: Console | None) -> SaidLines | None:
    """What shows it; a terminal alone does."""
    return SaidLines(out) if out is not None and out.is_terminal else None


def steps_text(progress: int, total: int | None) -> str:
    """How far: "12 of 60 checkpoints"."""
    return f"{progress:>{len(str(total))}} of {total} checkpoints" if total is not None else f"{progress} checkpoints"


def standing_text(view: TaskOut) -> str:
    """Where a task stands: "24 of 60 checkpoints, plan step 3 of 5"."""
    done = f"{view.steps} {'checkpoint' if view.steps == 1 else 'checkpoints'}"
    if view.total is not None and view.progress == view.steps:
        done = f"{view.steps} of {view.total} checkpoints"
    elif view.total is not None:
        done = f"{view.progress} of {view.total} done, {done}"
    if view.stage == DONE or view.plan_step is None or view.plan is None or view.plan.steps is None:
        return done
    return f"{done}, plan step {view.plan_step} of {view.plan.steps}"


def _tenths(progress: int, total: int | None) -> int:
    # Without a total a line for every hundred: enough to see that it moves.
    return progress * PLAIN_LINES // total if total else progress // 100
