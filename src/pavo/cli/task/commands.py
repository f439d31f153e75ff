"""`pavo task`: list, show, review, stop, resume, watch and delete tasks."""

import shlex
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from pavo.cli import exit_codes
from pavo.cli.artifacts.commands import artifact, artifacts
from pavo.cli.artifacts.export import export
from pavo.cli.confirm import confirm
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.inbox import answers
from pavo.cli.output import Output, Printer, say
from pavo.cli.parameters import Approved, Url
from pavo.cli.task import render, review
from pavo.cli.task.client import TaskClient
from pavo.cli.task.edit import edit
from pavo.cli.task.follower import TaskFollower
from pavo.cli.task.outcome import exit_code_of, leaving_it_running, show_outcome
from pavo.cli.task.records import logs, transcript
from pavo.cli.task.reference import TaskRef, resolve
from pavo.errors import InvalidInput, NotFound, PavoError, WrongPlanHash
from pavo.gates.schemas import GateOut
from pavo.tasks.domain import DONE, FAILED, INIT, STOPPED, WAIT_RFC, stages_of
from pavo.tasks.schemas import (
    AnswerOut,
    DocumentOut,
    FeedbackOut,
    MessageOut,
    ReceiptOut,
    Sort,
    StartOut,
    TaskOut,
    TaskPage,
    Wanted,
)
from pavo.timeline.schemas import EventOut

task_app = App(name="task", help="List, show, review, stop, resume and watch tasks.", help_epilogue=epilogue("task"))

for command in (artifact, artifacts, edit, export, logs, transcript):
    task_app.command(command)


@task_app.command(name="list")
def list_(
    *,
    q: Annotated[
        str | None, Parameter(name=["--q", "-q"], help="In the title; or the beginning or end of the id.")
    ] = None,
    stage: Annotated[
        str | None, Parameter(help="In these stages, such as WAIT_RFC,FAILED, or as people say: in review, failed.")
    ] = None,
    agent: Annotated[str | None, Parameter(help="Of this agent.")] = None,
    created_by: Annotated[str | None, Parameter(help="Of this user: an e-mail address, an id, or me.")] = None,
    since: Annotated[str | None, Parameter(help="Created since then: 2026-11-26, or how long ago: 24h, 7d.")] = None,
    sort: Annotated[Sort, Parameter(help="The order; with a minus the newest first.")] = "-created",
    limit: Annotated[int, Parameter(name=["--limit", "-n"], help="How many.")] = 20,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Your organisation's tasks, newest first."""
    chosen = {"q": q, "stage": stage, "agent": agent, "created-by": created_by, "since": since}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if stage is not None:
        check_stages(stage)
    # The API judges the rest: it knows what is too long, and what is no time.
    wanted = Wanted().model_copy(update={"sort": sort, **{k.replace("-", "_"): v for k, v in chosen.items()}})
    with TaskClient.from_environment(url) as tasks:
        page = tasks.newest(wanted, limit)
    if sort != "-created":
        chosen["sort"] = sort
    Printer(output).show(page, lambda: _print_tasks(page, chosen))


def check_stages(text: str) -> None:
    """Refuse a stage that is none before anybody is asked."""
    try:
        stages_of(text)
    except InvalidInput as error:
        raise InvalidInput(error.detail, field="--stage", remedy=error.remedy) from error


def _print_tasks(found: TaskPage, chosen: Mapping[str, str]) -> None:
    out = render.page()
    if found.items:
        render.print_tasks(found.items)
        if found.next_cursor is not None:
            _print_left_out(render.page(stderr=not out.is_terminal), found, chosen)
    elif chosen:
        render.note(out, "No such tasks")
        render.command(out, "all", "pavo task list")
    else:
        render.note(out, "No tasks yet")
        render.command(out, "begin", 'pavo run "Analyze churn drivers"')


def _print_left_out(out: Console, found: TaskPage, chosen: Mapping[str, str]) -> None:
    """Say that there is more; in a pipe to the error stream, since a program reads the rows."""
    shown = len(found.items)
    of = f" of {found.total:,}" if found.total is not None else ""
    which, more = ("newest", "older ones") if "sort" not in chosen else ("first", "more")
    render.note(out, f"These are the {which} {shown}{of}; there are {more}")
    words = [f"--{name}={value}" for name, value in chosen.items()]
    render.command(out, "more", shlex.join(["pavo", "task", "list", *words, "-n", str(shown * 5)]))


@task_app.command
def show(task: TaskRef, *, url: Url = None, output: Output = "text") -> None:
    """One task: its stage, how far it is, what went wrong."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        asked = tasks.open_questions(view)
    Printer(output).show(view, lambda: _print_task(view, asked))


def _print_task(view: TaskOut, asked: Sequence[GateOut]) -> None:
    out = render.page()
    render.print_block(out, render.task(view))
    for gate in asked:
        out.print()
        answers.print_open(out, gate)


@task_app.command
def plan(
    task: TaskRef,
    *,
    version: Annotated[int | None, Parameter(help="An earlier version.")] = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """The task's plan, with its feedback."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        plans = [found for found in tasks.documents(view.id) if found.kind == "PLAN"]
        wanted = [found for found in plans if version is None or found.version == version][-1:]
        wanted = [tasks.with_all_feedback(found) for found in wanted]
    if not plans:
        raise _not_yet("plan", view)
    if not wanted:
        raise NotFound(
            f"There is no version {version} of the plan; the newest is {plans[-1].version}.",
            field="--version",
            remedy=f"Show that: pavo task plan {view.id}",
        )
    Printer(output).show(wanted[0], lambda: render.print_block(render.page(), render.plan(wanted[0])))


@task_app.command
def report(task: TaskRef, *, url: Url = None, output: Output = "text") -> None:
    """The task's report."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        found = tasks.report(view.id)
    if found is None:
        raise _not_yet("report", view)
    Printer(output).show(found, lambda: _print_report(found, view))


def _not_yet(what: str, view: TaskOut) -> NotFound:
    """That there is none, and what brings it about."""
    halted = view.stage in (INIT, STOPPED, FAILED)
    first = f"pavo task resume {view.id}"
    if view.stage == WAIT_RFC and view.plan is not None:
        halted, first = True, f"pavo task accept {view.id} --hash {view.plan.hash[:12]}"
    then = f"pavo task watch {view.id}"
    remedy = f"Let it go on: {first}" if halted else f"Wait for it: {then}"
    return NotFound(f"There is no {what} yet: the task is {view.stage}.", field="TASK", remedy=remedy)


def _print_report(found: DocumentOut, view: TaskOut) -> None:
    out = render.page()
    # A file gets the Markdown itself: that is what `> report.md` wants.
    out.print(render.report(found, view)) if out.is_terminal else say(found.body, to=out)


@task_app.command
def feedback(
    task: TaskRef,
    text: Annotated[str | None, Parameter(help="What you think of the plan; may be left out with --done.")] = None,
    *,
    step: Annotated[int | None, Parameter(help="The number of the plan's step that it is about.")] = None,
    done: Annotated[bool, Parameter(help="End the review: the agent revises the plan.", negative="")] = False,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Comment on the plan under review."""
    if text is None and (step is not None or not done):
        remedy = f'For example: pavo task feedback {task} "Look at small customers too"'
        raise InvalidInput("There is no comment.", field="TEXT", remedy=remedy)
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        plan = review.plan_under_review(view)
        if text is not None and view.stage != WAIT_RFC:
            raise review.takes_no_comments(view)
        added = None if text is None else tasks.add_feedback(view.id, plan.document_id, text, step)
        answer = tasks.done_reviewing(view.id, plan.hash) if done else None
    Printer(output).show({"feedback": added, "answer": answer}, lambda: _print_feedback(view, added, answer))


def _print_feedback(view: TaskOut, added: FeedbackOut | None, answer: AnswerOut | None) -> None:
    out = render.page()
    if answer and added is None and review.told_of_before(view, out):
        return
    became = {"revising": "the agent revises the plan", "accepted": "without a comment the plan is accepted"}
    ended = became[answer.outcome] if answer else ""
    render.good(out, "Feedback added" if added else "Review ended", ended)
    if answer:
        render.command(out, "then", f"pavo task watch {view.id}")
    else:
        render.command(out, "finish", f"pavo task feedback {view.id} --done")


@task_app.command
def message(
    task: TaskRef,
    text: Annotated[str, Parameter(help="What you want to say.")],
    *,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Say something to the task, whatever it is at: its agent will read it."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        said = tasks.say(view.id, text)
    Printer(output).show(said, lambda: _print_said(view, said))


def _print_said(view: TaskOut, said: MessageOut) -> None:
    out, halted = render.page(), view.stage in (STOPPED, FAILED)
    match said.placed:
        case "prompt":
            render.good(out, "Added to the task's prompt")
            render.command(out, "start", f"pavo task resume {view.id}")
        case "feedback":
            render.good(out, "Added to the review as a comment on the whole plan")
            then, done = ("resume", "") if halted else ("feedback", " --done")
            render.command(out, "resume" if halted else "revise", f"pavo task {then} {view.id}{done}")
        case "follow_up":
            render.good(out, "Said; the task goes on, and its agent makes another plan of it")
            render.command(out, "watch", f"pavo task watch {view.id}")
        case _:
            when = "once the task is resumed" if halted else "when it looks for messages"
            render.good(out, f"Said; the agent reads it {when}")
            then = "resume" if halted else "watch"
            render.command(out, then, f"pavo task {then} {view.id}")


@task_app.command
def accept(
    task: TaskRef,
    *,
    hash: Annotated[str | None, Parameter(help="The hash, or its beginning, of the version that you read.")] = None,
    override_feedback: Annotated[
        bool, Parameter(help="Also with comments that no revision has answered.", negative="")
    ] = False,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Accept the plan; with --hash only if no newer version came meanwhile."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        current = review.plan_under_review(view).hash
        chosen = current if hash is None or (len(hash) >= 8 and current.startswith(hash)) else hash
        with _refused_with(f"Read it: pavo task plan {view.id}", WrongPlanHash):
            answer = tasks.accept(view.id, chosen, override=override_feedback)
    Printer(output).show(answer, lambda: _print_accepted(view, chosen))


def _print_accepted(view: TaskOut, chosen: str) -> None:
    if not review.told_of_before(view, render.page()):
        _print_going_on(view, "Plan accepted", chosen[:12])


@contextmanager
def _refused_with(remedy: str, kind: type[PavoError]) -> Generator[None]:
    """A refusal of this kind with the command that helps, in the place of what helps any client."""
    try:
        yield
    except kind as error:
        error.remedy = remedy
        raise


def _print_going_on(view: TaskOut, text: str, note: str = "") -> None:
    out = render.page()
    render.good(out, text, note)
    render.command(out, "watch", f"pavo task watch {view.id}")


@task_app.command
def stop(task: TaskRef, *, url: Url = None, output: Output = "text") -> None:
    """Stop the task; once this has answered, no further work begins."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        receipt = tasks.stop(view.id)
    Printer(output).show({"receipt": receipt}, lambda: _print_stopped(view, receipt))


def _print_stopped(view: TaskOut, receipt: ReceiptOut | None) -> None:
    out = render.page()
    if receipt is None:
        render.note(out, "The stop is recorded; it happens as soon as a worker is there")
        return
    if receipt.stage == DONE:
        render.note(out, "There is nothing to stop: the task is done")
        render.command(out, "report", f"pavo task report {view.id}")
        return
    cut = "; the work in hand was cut" if receipt.step_cut else ""
    if view.stage in (STOPPED, FAILED) or (view.stage == INIT and view.run_id is None):
        render.note(out, f"There is nothing to stop: the task is {view.stage}")
    else:
        render.good(out, f"Stopped after checkpoint {receipt.last_step}{cut}", receipt.resume)
    render.command(out, "resume", f"pavo task resume {view.id}")


@task_app.command
def resume(task: TaskRef, *, url: Url = None, output: Output = "text") -> None:
    """Go on where the task was stopped or failed."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        started = tasks.start(view.id) if view.stage == INIT else tasks.resume(view.id)
    Printer(output).show(started, lambda: _print_resumed(view, started))


def _print_resumed(view: TaskOut, started: StartOut) -> None:
    if not started.already_running:
        _print_going_on(view, f"Goes on after checkpoint {view.steps}" if view.stage != INIT else "Started")
    elif view.stage == WAIT_RFC and view.plan is not None:
        out = render.page()
        render.note(out, f"There is nothing to resume: plan v{view.plan.version} waits for you")
        render.command(out, "read", f"pavo task plan {view.id}")
    else:
        _print_going_on(view, "It is running already")


@task_app.command
def watch(
    task: TaskRef,
    *,
    after: Annotated[int | None, Parameter(help="Show every event after this number, one a line.")] = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Follow the task until it ends or waits for you. With -o json every event as a line of JSON, from the first on."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        out, printer = render.page(), Printer(output)
        with leaving_it_running(None if printer.for_programs else out, view.id):
            if printer.for_programs or after is not None:
                return _print_events(tasks, view.id, after or 0, out, printer)
            render.note(out, view.title, f"{view.stage} {view.stage_status}")
            follower = TaskFollower(tasks, view.id, out)
            follower.skip()
            return show_outcome(tasks, follower.until_over(), out)
    return exit_codes.INTERRUPTED


def _print_events(tasks: TaskClient, task_id: uuid.UUID, after: int, out: Console, printer: Printer) -> int:
    """Every event until the stream ends; that of a stopped or failed task is left after the last one."""
    for event in tasks.stream(task_id, after):
        printer.show_line(event, partial(_print_event, out, event))
        if event.type == "stage" and (event.model_extra or {}).get("stage") in (STOPPED, FAILED):
            view = tasks.get(task_id)
            if view.stage in (STOPPED, FAILED) and tasks.events(task_id, limit=1).last_seq <= event.seq:
                return exit_code_of(view)
    return exit_codes.DONE


def _print_event(out: Console, event: EventOut) -> None:
    out.print(render.event(event), soft_wrap=not out.is_terminal)


@task_app.command
def delete(
    task: TaskRef,
    *,
    yes: Approved = False,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Stop the task and remove it with all its documents."""
    with TaskClient.from_environment(url) as tasks:
        view = resolve(tasks, task)
        # A script is not asked: it deletes only the one task that it names.
        if not confirm(f"Delete “{view.title}” for good?", approved=yes or not render.interactive()):
            return exit_codes.FAILED
        tasks.delete(view.id)
    Printer(output).show({"deleted": str(view.id)}, lambda: render.good(render.page(), "Deleted", str(view.id)))
    return exit_codes.DONE


give_examples(task_app, "task")
