"""Following a task in a terminal: until its plan is there, until it is over."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console

from pavo.cli.output import waiting
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.progress import NoProgress, ProgressView, progress_view, said_lines
from pavo.tasks.domain import DONE, FAILED, STOPPED, WAIT_RFC
from pavo.tasks.schemas import TaskOut
from pavo.timeline.schemas import EventOut

RESTING: Final = (WAIT_RFC, DONE, STOPPED, FAILED)
"""Stages in which a task goes on only when somebody does something, or not at all."""


class TaskFollower:
    """Follows one task from event to event; what was seen once is not shown again.

    Args:
        tasks: the API.
        task_id: the task.
        out: where to show; None shows nothing.
    """

    def __init__(self, tasks: TaskClient, task_id: uuid.UUID, out: Console | None) -> None:
        self._tasks = tasks
        self._id = task_id
        self._out = out
        self._last = 0
        self._answered = 0

    def answered(self, version: int) -> None:
        """This version of the plan has its answer: a task that still shows it for review does not rest any more."""
        self._answered = version

    def until_reviewable(self) -> TaskOut:
        """Wait until a plan is there to review, or the task rests for another reason; show what happens meanwhile."""
        with _maybe_waiting(self._out, "planning …"):
            return self._until_resting(NoProgress())

    def until_over(self) -> TaskOut:
        """Wait, with a progress bar, until the task is DONE, STOPPED, FAILED or waits for somebody."""
        view = self._tasks.get(self._id)
        if self._rests(view):
            return view
        with progress_view(self._out, view) as progress:
            return self._until_resting(progress)

    def skip(self) -> TaskOut:
        """Pass over what happened until now; answers the task as it is."""
        self._last = self._tasks.events(self._id, limit=1).last_seq
        return self._tasks.get(self._id)

    def _until_resting(self, progress: ProgressView) -> TaskOut:
        # The task is read after each event that may end the wait: an event may be older, of a run before this one.
        view = self._tasks.get(self._id)
        if self._rests(view):
            return view
        said = said_lines(self._out)
        for event in self._tasks.stream(self._id, self._last, said and said.see):
            self._last = event.seq
            if said is not None:
                said.passed(event)
            progress.see(event)
            self._tell(event)
            if event.type == "stage" and (event.model_extra or {}).get("stage") in RESTING:
                view = self._tasks.get(self._id)
                if self._rests(view):
                    return view
        return self._tasks.get(self._id)

    def _rests(self, view: TaskOut) -> bool:
        answered = view.stage == WAIT_RFC and view.plan is not None and view.plan.version <= self._answered
        return view.stage in RESTING and not answered

    def _tell(self, event: EventOut) -> None:
        data: dict[str, Any] = event.model_extra or {}
        if self._out is None or _tell_of_others(self._out, event.type, data):
            return
        if event.type == "context":
            found = f"{data['n']} document{'' if data['n'] == 1 else 's'} of your organisation bear on it"
            render.note(self._out, found, " · ".join(data["titles"][:3]))
        elif event.type == "recovered":
            render.turn(self._out, f"Goes on after checkpoint {data['step']}", data["cause"])
        elif event.type == "code_changed":
            render.note(self._out, f"Goes on with {data['now']}", f"before {data['before']}")
        elif event.type == "waiting":
            render.note(self._out, f"Waiting for {data['for']}")
        elif event.type == "no_progress":
            what = f"No progress: the agent began {data['beginnings']} times again after checkpoint {data['step']}"
            render.turn(self._out, what, data["cause"])
        elif event.type == "retry":
            what = f"Checkpoint {data['step']}" if data["step"] else "Planning"
            render.turn(self._out, f"{what} failed (attempt {data['attempt']}), is tried again", data["error"])


def _tell_of_others(out: Console, kind: str, data: dict[str, Any]) -> bool:
    """A question and the command that answers it, or a delegated task, or what became of one; whether the event was
    one of these."""
    if kind == "gate_opened":
        render.turn(out, "The agent asks", data["text"])
        for number, choice in enumerate(data.get("choices", ()), 1):
            render.note(out, f"{number}  {choice}")
        render.command(out, "answer", f"pavo inbox answer {data['gate_id']}")
    elif kind == "gate_closed":
        render.note(out, f"{data['key']}: {data['state']}", data.get("by", ""))
    elif kind == "child_created":
        render.turn(out, f"Delegates to {data['agent']}: {data['title']}", f"task {data['task_id']}")
    elif kind == "child_over":
        render.note(out, f"Task {data['task_id']}: {data['stage']}", data.get("cause", ""))
    return kind in ("gate_opened", "gate_closed", "child_created", "child_over")


@contextmanager
def _maybe_waiting(out: Console | None, what: str) -> Generator[None]:
    if out is None:
        yield
        return
    with waiting(out, what):
        yield
