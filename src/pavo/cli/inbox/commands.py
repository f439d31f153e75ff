"""`pavo inbox`: list what waits for people, show a question, answer it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Annotated

from cyclopts import App, Parameter, validators
from rich.console import Console

from pavo.cli.api_client import ApiClient
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.inbox import answers
from pavo.cli.inbox.client import ASKED, InboxClient
from pavo.cli.jobs.client import OrganisationClient
from pavo.cli.jobs.job_client import JobClient
from pavo.cli.output import Output, Printer
from pavo.cli.parameters import OrganisationId, Url
from pavo.cli.table import table
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.reference import TaskOption, resolve
from pavo.errors import InvalidInput, PavoError
from pavo.gates.schemas import GateOut
from pavo.inbox.schemas import InboxItem, InboxOut, Kind, Sort

inbox_app = App(name="inbox", help="What waits for people, and answering it.", help_epilogue=epilogue("inbox"))

GateRef = Annotated[str, Parameter(help="The question's id, the beginning or end of it, or that of its task or job.")]
HowMany = Annotated[
    int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1), help="How many at most.")
]
COLUMNS = ("WAITS", "SINCE", "ID", "TITLE", "WHAT")


@contextmanager
def _connected(url: str | None) -> Generator[InboxClient]:
    with ApiClient.from_environment(url) as api:
        yield InboxClient(api)


@inbox_app.default
def inbox(*, url: Url = None, output: Output = "text") -> None:
    """List what waits, and on a terminal ask for an answer to each question; an empty line leaves it for later."""
    with _connected(url) as client:
        found = client.items(50)
        Printer(output).show(found, lambda: _print(found))
        if not Printer(output).for_programs and render.interactive():
            mine = {item.id for item in client.items(50, mine=True).items}
            for item in found.items:
                if item.kind in ASKED and item.id in mine:
                    _answer_in_place(client, item, render.page())


def _answer_in_place(client: InboxClient, item: InboxItem, out: Console) -> None:
    gate = client.gate(str(item.id))
    out.print()
    render.print_block(out, answers.shown(gate))
    answer = answers.ask(gate, out) if gate.state == "open" else None
    if answer is None:
        return
    try:
        _print_answered(client.answer(gate, answer, answers.ask_why(gate, answer, out)))
    except PavoError as error:  # somebody else was first, or it rests: the next one may still be answered
        render.bad(out, str(error.detail), str(error.remedy or ""))


@inbox_app.command(name="list")
def list_(
    *,
    kind: Annotated[Kind | None, Parameter(help="These alone.")] = None,
    mine: Annotated[bool, Parameter(help="What you may answer.", negative="")] = False,
    created_by: Annotated[
        str | None, Parameter(help="Of tasks and jobs of this user: an e-mail address, an id, or me.")
    ] = None,
    task: TaskOption = None,
    job: Annotated[str | None, Parameter(help="Of this job: its id, or the beginning or end of it.")] = None,
    org: OrganisationId = None,
    sort: Annotated[Sort, Parameter(help="The order; with a minus the newest first.")] = "since",
    limit: HowMany = 50,
    url: Url = None,
    output: Output = "text",
) -> None:
    """What waits for people in your organisations: questions, approvals of calls of tools, plans of tasks and of jobs,
    failures; the oldest first."""
    with ApiClient.from_environment(url) as api:
        chosen = {"kind": kind, "mine": mine or None, "sort": sort, "organisation_id": org, "created_by": created_by}
        chosen["task_id"] = resolve(TaskClient(api), task).id if task is not None else None
        chosen["subject_id"] = JobClient(OrganisationClient(api, org)).resolve(job).id if job else None
        found = InboxClient(api).items(limit, **chosen)
    Printer(output).show(found, lambda: _print(found))


def _print(found: InboxOut) -> None:
    table(COLUMNS, [_row(item) for item in found.items], nothing="Nothing waits for you.")
    out = render.page()
    if not out.is_terminal:
        return
    if found.total > len(found.items):
        render.note(out, f"These are the first {len(found.items)} of {found.total:,}")
        render.command(out, "more", f"pavo inbox list -n {found.total}")
    _print_next(out, found.items)


def _row(item: InboxItem) -> Sequence[str]:
    # An answer to a task's plan, or a resume, names the task.
    what = f"plan v{item.version} waits for review" if item.kind == "review" else item.text
    what = f"(owners) {what}" if item.may_answer == "owner" else what
    return item.kind, render.ago(item.since), str(item.id), item.title, what[:200]


def _print_next(out: Console, items: Sequence[InboxItem]) -> None:
    """What the first of each kind needs."""
    first: dict[str, InboxItem] = {}
    for item in items:
        first.setdefault(item.kind, item)
    asked = dict.fromkeys(ASKED, "pavo inbox show")
    for kind, item in first.items():
        commands = {**asked, "review": "pavo task plan", "failure": f"pavo {item.subject_kind} show"}
        render.command(out, kind, f"{commands[kind]} {item.id}")


@inbox_app.command
def show(question: GateRef, /, *, url: Url = None, output: Output = "text") -> None:
    """A question, how it may be answered, or how it was."""
    with _connected(url) as client:
        gate = client.gate(question)
    Printer(output).show(gate, lambda: _print_gate(gate))


def _print_gate(gate: GateOut) -> None:
    out = render.page()
    if gate.state == "open":
        answers.print_open(out, gate)
    else:
        render.print_block(out, answers.shown(gate))


@inbox_app.command
def answer(
    question: GateRef,
    answer: Annotated[
        str | None, Parameter(help="A choice or its number; a text; else JSON. Without it a terminal asks.")
    ] = None,
    /,
    *,
    note: Annotated[
        str,
        Parameter(help="For those who look at it later; the agent gets it where a call is denied or a plan revised."),
    ] = "",
    url: Url = None,
    output: Output = "text",
) -> None:
    """Answer a question: what was asked when it was shown, and nothing else."""
    with _connected(url) as client:
        gate = client.gate(question)
        given = answers.typed(gate, answer) if answer is not None else _asked(gate)
        if answer is None and not note:
            note = answers.ask_why(gate, given, render.page())
        done = client.answer(gate, given, note)
    Printer(output).show(done, lambda: _print_answered(done))


def _asked(gate: GateOut) -> object:
    given = None
    if render.interactive():
        out = render.page()
        render.print_block(out, answers.shown(gate))
        given = answers.ask(gate, out)
    if given is None:
        remedy = f"Give it: pavo inbox answer {gate.id} ANSWER"
        raise InvalidInput("There is no answer.", field="ANSWER", remedy=remedy)
    return given


def _print_answered(done: GateOut) -> None:
    out = render.page()
    render.good(out, "Answered", done.key)
    watch = f"pavo task watch {done.task_id}" if done.task_id is not None else f"pavo job logs {done.subject_id} -f"
    render.command(out, "watch", watch)


give_examples(inbox_app, "inbox")
