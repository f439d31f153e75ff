"""A task's life as a terminal shows it: waiting for its plan, its progress, its end."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from pavo.cli.client import Client
from pavo.cli.output import waiting
from pavo.cli.task import render
from pavo.tasks.domain import DONE, FAILED, STOPPED, WAIT_RFC
from pavo.tasks.schemas import DocumentOut, TaskOut
from pavo.timeline.schemas import EventOut

RESTING: Final = (WAIT_RFC, DONE, STOPPED, FAILED)
"""Stages in which a task goes on only when somebody does something, or not at all."""
PLAIN_LINES: Final = 10
"""How many lines of progress a pipe gets over a task whose total is known."""


class Follower:
    """Follows one task from event to event; what was seen once is not shown again.

    Args:
        client: the API.
        task_id: the task.
        out: where to show; None shows nothing.
    """

    def __init__(self, client: Client, task_id: uuid.UUID, out: Console | None) -> None:
        self._client = client
        self._id = task_id
        self._out = out
        self._last = 0
        self._answered = 0

    def answered(self, version: int) -> None:
        """This version of the plan has its answer: waiting for review with it is no rest any more."""
        self._answered = version

    def until_reviewable(self) -> TaskOut:
        """Wait until a plan is there to review, or the task rests in another way; show what happens meanwhile."""
        with _maybe_waiting(self._out, "planning …"):
            return self._until_resting(_Nothing())

    def until_over(self) -> TaskOut:
        """Wait, with a progress bar, until the task is DONE, STOPPED, FAILED or waits for somebody."""
        view = self._client.get(self._id)
        if self._rests(view):
            return view
        with shown_progress(self._out, view) as progress:
            return self._until_resting(progress)

    def skip(self) -> TaskOut:
        """Begin with what happens from now on; the task as it is."""
        self._last = self._client.events(self._id, limit=1).last_seq
        return self._client.get(self._id)

    def _until_resting(self, progress: "_Shown") -> TaskOut:
        # The row is read after each event that may end the wait, so a stage of an earlier run, replayed, ends nothing.
        view = self._client.get(self._id)
        if self._rests(view):
            return view
        for event in self._client.stream(self._id, self._last):
            self._last = event.seq
            progress.see(event)
            self._tell(event)
            if event.type == "stage" and (event.model_extra or {}).get("stage") in RESTING:
                view = self._client.get(self._id)
                if self._rests(view):
                    return view
        return self._client.get(self._id)

    def _rests(self, view: TaskOut) -> bool:
        answered = view.stage == WAIT_RFC and view.plan is not None and view.plan.version <= self._answered
        return view.stage in RESTING and not answered

    def _tell(self, event: EventOut) -> None:
        if self._out is None:
            return
        data: dict[str, Any] = event.model_extra or {}
        if event.type == "context":
            found = f"{data['n']} document{'' if data['n'] == 1 else 's'} of your organisation bear on it"
            render.say(self._out, found, " · ".join(data["titles"][:3]))
        elif event.type == "recovered":
            render.turn(self._out, f"Goes on after step {data['step']}", data["cause"])
        elif event.type == "retry":
            what = f"Step {data['step']}" if data["step"] else "Planning"
            render.turn(self._out, f"{what} failed (attempt {data['attempt']}), is tried again", data["error"])


def plan_of(client: Client, view: TaskOut) -> DocumentOut | None:
    """The newest plan."""
    return client.document(view.id, view.plan.document_id) if view.plan is not None else None


def report_of(client: Client, task_id: uuid.UUID) -> DocumentOut | None:
    """The report, once there is one."""
    return next((found for found in client.documents(task_id) if found.kind == "REPORT"), None)


class _Nothing:
    """No progress is shown."""

    def see(self, event: EventOut) -> None:
        """Nothing."""


class _Lines:
    """Progress for pipes and files: a line now and then."""

    def __init__(self, out: Console, view: TaskOut) -> None:
        self._out = out
        self._told = _tenths(view.progress, view.total)

    def see(self, event: EventOut) -> None:
        """Tell a tenth when it is reached."""
        if event.type != "tick":
            return
        data = event.model_extra or {}
        tenths = _tenths(data["progress"], data.get("total"))
        if tenths > self._told:
            self._told = tenths
            self._out.print(f"  {steps_text(data['progress'], data.get('total'))}")


class _Bar:
    """Progress for terminals."""

    def __init__(self, progress: Progress, view: TaskOut) -> None:
        self._progress = progress
        self._row = progress.add_task("", total=view.total, completed=view.progress)

    def see(self, event: EventOut) -> None:
        """Move the bar."""
        if event.type == "tick":
            data = event.model_extra or {}
            self._progress.update(self._row, completed=data["progress"], total=data.get("total"))


_Shown = _Nothing | _Lines | _Bar


class _Steps(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        return Text(steps_text(int(task.completed), total))


@contextmanager
def shown_progress(out: Console | None, view: TaskOut) -> Generator[_Shown]:
    """Something to show each event to, and which shows how far the task is."""
    if out is None:
        yield _Nothing()
    elif not out.is_terminal:
        yield _Lines(out, view)
    else:
        with bar(out) as progress:
            yield _Bar(progress, view)


def bar(out: Console) -> Progress:
    """The progress bar."""
    return Progress(
        TextColumn(""),
        SpinnerColumn("dots", style="cyan", finished_text=Text("✓", "green")),
        BarColumn(40, style="grey30", complete_style="cyan", finished_style="green", pulse_style="cyan"),
        _Steps(),
        TimeElapsedColumn(),
        console=out,
    )


@contextmanager
def _maybe_waiting(out: Console | None, what: str) -> Generator[None]:
    if out is None:
        yield
        return
    with waiting(out, what):
        yield


def steps_text(progress: int, total: int | None) -> str:
    """How far: "12 of 60 steps"."""
    return f"{progress:>{len(str(total))}} of {total} steps" if total is not None else f"{progress} steps"


def _tenths(progress: int, total: int | None) -> int:
    # Without a total a line for every hundred: enough to see that it moves.
    return progress * PLAIN_LINES // total if total else progress // 100
