"""`pavo task logs`, `pavo task transcript`: what a task's agent printed, what it recorded of its conversation."""

import json
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
from pavo.errors import InvalidInput
from pavo.observe.printable import printable, printable_line
from pavo.tasks.domain import ACTIVE, INIT
from pavo.tasks.schemas import TaskLogChunk
from pavo.transcripts.schemas import TranscriptMessageOut

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


def transcript(
    task: TaskRef,
    *,
    after: Annotated[int, Parameter(help="Only what follows the message of this number.")] = 0,
    last: Annotated[int | None, Parameter(name=["--last", "-n"], help="Only so many of the newest.")] = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """The conversation that the task's agent recorded, from its first message to its last."""
    check_number("--after", after, 0)
    if last is not None:
        check_number("--last", last, 1)
    printer, shown = Printer(output), False
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        for message in _messages(tasks, view.id, after, last):
            printer.show_line(message, partial(_print_message, message))
            shown = True
    if not shown and not printer.for_programs:
        render.note(render.page(stderr=True), "The agent has recorded no messages")
    return exit_codes.DONE


def check_number(option: str, number: int, least: int) -> None:
    """Refuse what is too small before anybody is asked."""
    if number < least:
        raise InvalidInput(f"{option} is {number}.", field=option, remedy=f"It is a number from {least} on.")


def _messages(tasks: TaskClient, task_id: uuid.UUID, after: int, last: int | None) -> Iterator[TranscriptMessageOut]:
    page = tasks.transcript(task_id, after)
    if last is not None and (begin := page.count - last) > after:
        page = tasks.transcript(task_id, begin)
    while page.items:
        yield from page.items
        page = tasks.transcript(task_id, page.next)


def _print_message(message: TranscriptMessageOut) -> None:
    data = dict(message.data)
    role = data.pop("role", None)
    content = data.pop("content", None)
    said = [content] if isinstance(content, str) else []
    if not isinstance(content, str | None):
        data["content"] = content
    if data or not said:
        said.append(json.dumps(data, ensure_ascii=False))
    who = f" {printable_line(role)}" if isinstance(role, str) else ""
    lines = printable("\n".join(said)).replace("\n", "\n    ")
    print(f"{message.position}{who} (checkpoint {message.step})\n    {lines}", flush=True)  # noqa: T201 - as above
