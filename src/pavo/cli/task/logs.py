"""`pavo task logs`: what a task's agent printed."""

import time
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Final

from cyclopts import Parameter

from pavo.cli import exit_codes
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Url
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.reference import TaskRef, resolve
from pavo.observe.printable import printable
from pavo.tasks.domain import ACTIVE, INIT
from pavo.tasks.schemas import TaskLogChunk

ASK_EVERY_SECONDS: Final = 0.5


def logs(
    task: TaskRef,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], help="Go on until the task ends.", negative="")] = False,
    url: Url = None,
    output: Output = "text",
) -> int:
    """What the task's agent printed, and its tracebacks; the newest 2 MB are kept."""
    printer = Printer(output)
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        try:
            count = 0
            for chunk in _chunks(tasks, view.id, follow=follow):
                count += 1
                printer.show_line(chunk, partial(_print_chunk, chunk))
        except KeyboardInterrupt:
            return exit_codes.INTERRUPTED
    if count == 0 and not printer.for_programs:
        render.note(render.page(stderr=True), "The agent has printed nothing")
    return exit_codes.DONE


def _chunks(tasks: TaskClient, task_id: uuid.UUID, *, follow: bool) -> Iterator[TaskLogChunk]:
    after, ended = 0, not follow
    while True:
        page = tasks.log(task_id, after)
        yield from page.items
        after = page.next
        if page.items:
            continue
        if ended:
            return
        # Once more after the end: what was printed last is written a moment later.
        ended = tasks.get(task_id).stage not in (INIT, *ACTIVE)
        time.sleep(ASK_EVERY_SECONDS)


def _print_chunk(chunk: TaskLogChunk) -> None:
    gap = "… older output was removed\n" if chunk.after_gap else ""
    print(gap + printable(chunk.text), end="", flush=True)  # noqa: T201 - plain, also in a pipe: no line is folded
