"""`pavo task edit`: change what a task is given."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from pavo.cli.output import Output, Printer
from pavo.cli.parameters import Url
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.reference import TaskRef, resolve
from pavo.cli.task.run_options import options_of, prompt_of
from pavo.errors import InvalidInput
from pavo.tasks.domain import INIT
from pavo.tasks.schemas import TaskEdit, TaskOut


def edit(
    task: TaskRef,
    *,
    title: Annotated[str | None, Parameter(help="A new title.")] = None,
    prompt: Annotated[
        str | None,
        Parameter(help="A new prompt: text, @FILE for a file's, - for standard input's.", allow_leading_hyphen=True),
    ] = None,
    option: Annotated[
        Sequence[str],
        Parameter(
            help="An option of the agent as K=V, V in JSON or as text; may be repeated.",
            negative="",
            show_default=False,
        ),
    ] = (),
    step_seconds: Annotated[
        float | None, Parameter(help="Seconds that the work on a checkpoint may take; 0 leaves that to the agent.")
    ] = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Change a task that is not started, stopped or failed; with a new prompt it is planned and reviewed anew."""
    given: dict[str, Any] = {
        "title": title,
        "prompt": None if prompt is None else prompt_of(prompt),
        "agent_options": options_of(option) or None,
        "step_seconds": step_seconds,
    }
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        remedy = "Give a --prompt, an --option, a --title or --step-seconds."
        raise InvalidInput("This changes nothing.", field="--prompt", remedy=remedy)
    if step_seconds == 0:
        named["step_seconds"] = None
    change = TaskEdit.model_construct(**named)
    with TaskClient.from_environment(url) as tasks:
        before = resolve(tasks, task)
        after = tasks.edit(before.id, change)
    Printer(output).show(after, lambda: _print_edited(before, after))


def _print_edited(before: TaskOut, after: TaskOut) -> None:
    out = render.page()
    names = {"title": "title", "prompt": "prompt", "agent_options": "options", "step_seconds": "limit"}
    changed = [said for name, said in names.items() if getattr(before, name) != getattr(after, name)]
    if not changed:
        render.note(out, "It is like that already")
    else:
        superseded = before.plan is not None and after.plan is not None and before.plan.status != after.plan.status
        note = f"plan v{after.plan.version} is superseded" if superseded and after.plan else ""
        render.good(out, f"Changed: {', '.join(changed)}", note)
    render.command(out, "start" if after.stage == INIT else "resume", f"pavo task resume {after.id}")
