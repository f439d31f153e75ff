"""How watching a task ends: with what became of it, or because the person who watches leaves."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console

from pavo.cli import exit_codes
from pavo.cli.output import print_json
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.tasks.domain import DONE, FAILED, STOPPED, WAIT_RFC
from pavo.tasks.schemas import TaskOut


def show_outcome(tasks: TaskClient, view: TaskOut, out: Console | None) -> int:
    """Show how it ended, or for what it waits.

    Args:
        out: where people read; None prints the document for programs.

    Returns: the exit code.
    """
    document = tasks.report(view.id) if view.stage == DONE else None
    if out is None:
        print_json({"task": view, "plan": tasks.newest_plan(view), "report": document})
        return exit_code_of(view)
    if document is not None:
        render.print_block(out, render.report(document))
        render.good(out, f"Done: {view.steps} checkpoints recorded", render.used(view) or "")
    elif view.stage == FAILED:
        render.print_block(out, render.failure(view))
        render.command(out, "log", f"pavo task logs {view.id}")
        render.command(out, "retry", f"pavo task resume {view.id}")
    elif view.stage == STOPPED:
        render.note(out, f"Stopped after checkpoint {view.steps}")
        render.command(out, "resume", f"pavo task resume {view.id}")
    elif view.stage == WAIT_RFC and view.plan is not None:
        render.note(out, "The plan waits for you; nothing is executed before it is accepted")
        render.command(out, "accept", f"pavo task accept {view.id} --hash {view.plan.hash[:12]}")
        render.command(out, "comment", f'pavo task feedback {view.id} "…" --done')
    return exit_code_of(view)


def exit_code_of(view: TaskOut) -> int:
    """1 when the task failed."""
    return exit_codes.FAILED if view.stage == FAILED else exit_codes.DONE


@contextmanager
def leaving_it_running(out: Console | None, task_id: uuid.UUID) -> Generator[None]:
    """Ctrl-C ends the watching, never the task, and prints how to go on with it."""
    try:
        yield
    except KeyboardInterrupt:
        notes = out or render.page(stderr=True)
        notes.print()
        render.note(notes, "Detached; the task goes on without you")
        render.command(notes, "watch", f"pavo task watch {task_id}")
        render.command(notes, "stop", f"pavo task stop {task_id}")
