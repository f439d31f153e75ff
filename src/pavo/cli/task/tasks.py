"""`pavo run` and `pavo task …`: tasks from the command line."""

import json
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter
from rich.console import Console

from pavo.cli.client import Client
from pavo.cli.output import Output, print_json
from pavo.cli.task import render, review
from pavo.cli.task.follow import Follower, plan_of, report_of
from pavo.errors import InvalidInput, NotFound
from pavo.tasks.domain import DONE, FAILED, INIT, STAGES, STOPPED, WAIT_RFC
from pavo.tasks.schemas import TaskCreate, TaskOut

OK: Final = 0
TASK_FAILED: Final = 1
INTERRUPTED: Final = 130

Url = Annotated[
    str | None, Parameter(name="--url", help="Address of the API; default: PAVO_URL, else the running stack.")
]
TaskRef = Annotated[str, Parameter(help="The task's id, the beginning or end of it, or: last.")]

task_app = App(name="task", help="List, show, review, stop, resume and watch tasks.")


def run(
    title: str,
    *,
    prompt: Annotated[Path | None, Parameter(help="File with what the agent is to do; - reads standard input.")] = None,
    agent: Annotated[str, Parameter(help="Which agent performs it: pavo agents list.")] = "intern",
    option: Annotated[
        Sequence[str], Parameter(help="The agent's option as K=V, V in JSON or as text; may be repeated.", negative="")
    ] = (),
    accept: Annotated[bool, Parameter(help="Accept the first plan without asking.", negative="")] = False,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Create a task, review its plan, watch it, read its report.

    On a terminal you are asked about the plan. Elsewhere, without --accept, the plan is printed and the command
    that accepts it. Ctrl-C leaves the task running.
    """
    # Not validated here: the API says what is wrong with it, in one place for all its users.
    new = TaskCreate.model_construct(
        title=title, prompt=_prompt(prompt), agent_type=agent, agent_options=options_of(option)
    )
    out = render.page() if output == "text" else None
    with Client.from_environment(url) as client:
        task_id = client.create(new).id
        with _detaching(out, task_id):
            client.start(task_id)
            return _live(client, task_id, out, accept=accept)
    return INTERRUPTED


def _live(client: Client, task_id: uuid.UUID, out: Console | None, *, accept: bool) -> int:
    """From planning to the end."""
    follower = Follower(client, task_id, out)
    if out is not None:
        render.good(out, "Task created", str(task_id))
    view = follower.until_reviewable()
    if view.stage == WAIT_RFC:
        asking = out if render.interactive() else None
        if not review.review(client, follower, view, out, asking=asking, accept=accept):
            return _finish(client, client.get(task_id), out)
    return _finish(client, follower.until_over(), out)


def _finish(client: Client, view: TaskOut, out: Console | None) -> int:
    """Show how it ended, and answer with the exit code."""
    document = report_of(client, view.id) if view.stage == DONE else None
    if out is None:
        plan = plan_of(client, view)
        print_json({"task": view, "plan": plan, "report": document})
        return TASK_FAILED if view.stage == FAILED else OK
    if document is not None:
        render.show(out, render.report(document))
        render.good(out, f"Done: {view.steps} steps recorded")
    elif view.stage == FAILED:
        render.show(out, render.failure(view))
        render.command(out, "retry", f"pavo task resume {view.id}")
    elif view.stage == STOPPED:
        render.say(out, f"Stopped after step {view.steps}")
        render.command(out, "resume", f"pavo task resume {view.id}")
    elif view.stage == WAIT_RFC and view.plan is not None:
        render.say(out, "The plan waits for you; nothing is executed before it is accepted")
        render.command(out, "accept", f"pavo task accept {view.id} --hash {view.plan.hash[:12]}")
        render.command(out, "comment", f'pavo task feedback {view.id} "…" --done')
    return TASK_FAILED if view.stage == FAILED else OK


@contextmanager
def _detaching(out: Console | None, task_id: uuid.UUID) -> Generator[None]:
    """Ctrl-C ends the watching, never the task."""
    try:
        yield
    except KeyboardInterrupt:
        notes = out or render.page(stderr=True)
        notes.print()
        render.say(notes, "Detached; the task goes on without you")
        render.command(notes, "watch", f"pavo task watch {task_id}")
        render.command(notes, "stop", f"pavo task stop {task_id}")


@task_app.command(name="list")
def list_(
    *,
    stage: Annotated[str | None, Parameter(help="Only tasks in this stage, such as WAIT_RFC.")] = None,
    limit: Annotated[int, Parameter(help="How many, newest first.")] = 20,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Your organisation's tasks, newest first."""
    if stage is not None and stage.upper() not in STAGES:
        raise InvalidInput(f"There is no stage {stage!r}.", field="--stage", remedy=f"One of: {', '.join(STAGES)}.")
    with Client.from_environment(url) as client:
        page = client.list(stage=stage and stage.upper(), limit=limit)
    if output == "json":
        print_json(page)
        return OK
    out = render.page()
    if page.items:
        render.show(out, render.tasks(page.items))
    else:
        render.say(out, "No tasks yet" if stage is None else f"No tasks in stage {stage.upper()}")
        render.command(out, "begin", 'pavo run "Analyze churn drivers"')
    return OK


@task_app.command
def show(task: TaskRef, *, url: Url = None, output: Output = "text") -> int:
    """One task: its stage, how far it is, what went wrong."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
    if output == "json":
        print_json(view)
    else:
        render.show(render.page(), render.task(view))
    return OK


@task_app.command
def plan(
    task: TaskRef,
    *,
    version: Annotated[int | None, Parameter(help="An earlier version.")] = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """The task's plan, with its feedback."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
        plans = [found for found in client.documents(view.id) if found.kind == "PLAN"]
    wanted = [found for found in plans if version is None or found.version == version]
    if not wanted:
        what = "no plan yet" if version is None else f"no version {version} of the plan"
        raise NotFound(f"There is {what}: the task is {view.stage}.", remedy="Wait for it with: pavo task watch")
    if output == "json":
        print_json(wanted[-1])
    else:
        render.show(render.page(), render.plan(wanted[-1]))
    return OK


@task_app.command
def report(task: TaskRef, *, url: Url = None, output: Output = "text") -> int:
    """The task's report."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
        found = report_of(client, view.id)
    if found is None:
        raise NotFound(f"There is no report yet: the task is {view.stage}.", remedy="Wait for it: pavo task watch")
    if output == "json":
        print_json(found)
        return OK
    out = render.page()
    # A file gets the Markdown itself: that is what `> report.md` wants.
    out.print(render.report(found) if out.is_terminal else found.body, soft_wrap=not out.is_terminal)
    return OK


@task_app.command
def feedback(
    task: TaskRef,
    text: Annotated[str, Parameter(help="What you think of the plan.")],
    *,
    step: Annotated[int | None, Parameter(help="The number of the plan's step that it is about.")] = None,
    done: Annotated[bool, Parameter(help="End the review: the agent revises the plan.", negative="")] = False,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Comment on the plan under review."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
        plan = review.plan_under_review(view)
        added = client.add_feedback(view.id, plan.document_id, text, step)
        answer = client.done_reviewing(view.id, plan.hash) if done else None
    if output == "json":
        print_json({"feedback": added, "answer": answer})
        return OK
    out = render.page()
    render.good(out, "Feedback added", "the agent revises the plan" if done else "")
    if done:
        render.command(out, "then", f"pavo task watch {view.id}")
    else:
        render.command(out, "finish", f'pavo task feedback {view.id} "…" --done')
    return OK


@task_app.command
def accept(
    task: TaskRef,
    *,
    hash: Annotated[str | None, Parameter(help="The hash, or its beginning, of the version that you read.")] = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Accept the plan; with --hash only if no newer version came meanwhile."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
        current = review.plan_under_review(view).hash
        chosen = current if hash is None or (len(hash) >= 8 and current.startswith(hash)) else hash
        answer = client.accept(view.id, chosen)
    if output == "json":
        print_json(answer)
        return OK
    out = render.page()
    render.good(out, "Plan accepted", chosen[:12])
    render.command(out, "watch", f"pavo task watch {view.id}")
    return OK


@task_app.command
def stop(task: TaskRef, *, url: Url = None, output: Output = "text") -> int:
    """Stop the task; once this has answered, no further step starts."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
        receipt = client.stop(view.id)
    if output == "json":
        print_json({"receipt": receipt})
        return OK
    out = render.page()
    if receipt is None:
        render.say(out, "The stop is recorded; it happens as soon as a worker is there")
        return OK
    cut = "; the step in flight was cut" if receipt.step_cut else ""
    render.good(out, f"Stopped after step {receipt.last_step}{cut}", receipt.resume)
    render.command(out, "resume", f"pavo task resume {view.id}")
    return OK


@task_app.command
def resume(task: TaskRef, *, url: Url = None, output: Output = "text") -> int:
    """Go on where the task was stopped or failed."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
        started = client.start(view.id) if view.stage == INIT else client.resume(view.id)
    if output == "json":
        print_json(started)
        return OK
    out = render.page()
    render.good(out, "It is running already" if started.already_running else f"Goes on after step {view.steps}")
    render.command(out, "watch", f"pavo task watch {view.id}")
    return OK


@task_app.command
def watch(
    task: TaskRef,
    *,
    after: Annotated[int | None, Parameter(help="Show every event after this number, one a line.")] = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Follow the task until it ends or waits for you. With -o json every event as a line of JSON, from the first on."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
        out = render.page()
        with _detaching(None if output == "json" else out, view.id):
            if output == "json" or after is not None:
                return _print_events(client, view.id, after or 0, None if output == "json" else out)
            render.say(out, view.title, f"{view.stage} {view.stage_status}")
            follower = Follower(client, view.id, out)
            follower.skip()
            return _finish(client, follower.until_over(), out)
    return INTERRUPTED


def _print_events(client: Client, task_id: uuid.UUID, after: int, out: Console | None) -> int:
    """Every event until the stream ends; a stopped or failed task's does when it has been shown so far."""
    for event in client.stream(task_id, after):
        if out is None:
            print_json(event, indent=None)
        else:
            out.print(render.event(event), soft_wrap=not out.is_terminal)
        if event.type == "stage" and (event.model_extra or {}).get("stage") in (STOPPED, FAILED):
            view = client.get(task_id)
            if view.stage in (STOPPED, FAILED) and client.events(task_id, limit=1).last_seq <= event.seq:
                return TASK_FAILED if view.stage == FAILED else OK
    return OK


@task_app.command
def delete(
    task: TaskRef,
    *,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], help="Do not ask.", negative="")] = False,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Stop the task and remove it with all its documents."""
    with Client.from_environment(url) as client:
        view = resolve(client, task)
        out = render.page()
        if not yes and render.interactive() and not review.confirm(out, f"Delete “{view.title}” for good?"):
            return OK
        client.delete(view.id)
    if output == "json":
        print_json({"deleted": str(view.id)})
    else:
        render.good(out, "Deleted", str(view.id))
    return OK


def resolve(client: Client, ref: str) -> TaskOut:
    """The task that `ref` means: an id, the beginning or the end of one among the newest 200, or "last".

    Raises:
        NotFound: there is none.
        InvalidInput: it could mean several.
    """
    try:
        return client.get(uuid.UUID(ref))
    except ValueError:
        pass  # no whole id
    if len(ref) < 4:
        raise InvalidInput(f"{ref!r} is too short for a task's id.", field="TASK", remedy="Give 4 characters at least.")
    newest = client.list(limit=1 if ref == "last" else 200).items
    found = [view for view in newest if ref == "last" or str(view.id).startswith(ref) or str(view.id).endswith(ref)]
    if not found:
        raise NotFound(f"There is no task {ref!r}.", field="TASK", remedy="See them with: pavo task list")
    if len(found) > 1:
        raise InvalidInput(f"{ref!r} may be {len(found)} tasks.", field="TASK", remedy="Give more of the id.")
    return found[0]


def options_of(pairs: Sequence[str]) -> dict[str, Any]:
    """An agent's options from "K=V": V is JSON where it reads as such, else text.

    Raises:
        InvalidInput: a pair has no "=" or no name, or its value cannot be sent.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(f"{pair!r} is no option.", field="--option", remedy="Write it as NAME=VALUE.")
        found[name.strip()] = _option(name.strip(), value)
    return found


def _option(name: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise InvalidInput(
            f"The option {name} holds a number that is none, or half a character (\\ud800 … \\udfff).",
            field="--option",
            remedy="Write its value in proper JSON or as text.",
        ) from error
    return value


def _prompt(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return (Path("/dev/stdin") if str(path) == "-" else path).read_text("utf-8")
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise InvalidInput(f"{path}: {reason}.", field="--prompt", remedy="Name a file with text.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8.", field="--prompt", remedy="Name a file with text.") from error
