"""Reviewing a plan on a terminal: read, comment, read the revision, accept."""

from typing import Final

from rich.console import Console
from rich.text import Text

from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.follower import TaskFollower
from pavo.errors import WrongStage
from pavo.tasks.domain import DONE, FAILED, PLANNING, STOPPED, WAIT_RFC
from pavo.tasks.schemas import PlanRef, TaskOut

ACCEPT: Final = "a"
FEEDBACK: Final = "f"
LATER: Final = "l"
ANSWERS: Final = {
    ACCEPT: "accept this plan: the agent begins to execute it",
    FEEDBACK: "comment on it: the agent revises it, and you are asked again",
    LATER: "leave it as it is: the commands that answer it are shown",
    "?": "show this",
}
"""What a person may answer, and what comes of it."""


def plan_under_review(view: TaskOut) -> PlanRef:
    """The plan that waits for an answer.

    Raises:
        WrongStage: none does.
    """
    if view.plan is None:
        raise WrongStage(
            f"There is no plan yet: the task is {view.stage}.",
            field="stage",
            remedy=f"Wait for it: pavo task watch {view.id}",
        )
    return view.plan


def told_of_before(view: TaskOut, out: Console) -> bool:
    """Whether the plan was accepted when this was read: an answer changed nothing, and that is what is told."""
    if view.plan is None or view.plan.status != "ACCEPTED":
        return False
    render.note(out, f"Plan v{view.plan.version} was accepted before; the task is {view.stage}")
    then = {DONE: "report", STOPPED: "resume", FAILED: "resume"}.get(view.stage, "watch")
    render.command(out, then, f"pavo task {then} {view.id}")
    return True


def takes_no_comments(view: TaskOut) -> WrongStage:
    """That no plan is under review, and what to do instead."""
    remedies = {
        PLANNING: f"Wait for the review: pavo task watch {view.id}",
        DONE: f'Say what else is to be done: pavo task message {view.id} "…"',
    }
    what = f"plan v{view.plan.version} is {view.plan.status.lower()}, " if view.plan else ""
    remedy = remedies.get(view.stage, f'Say it to the agent: pavo task message {view.id} "…"')
    return WrongStage(f"No plan is under review: {what}the task is {view.stage}.", field="stage", remedy=remedy)


def review(
    tasks: TaskClient,
    follower: TaskFollower,
    view: TaskOut,
    out: Console | None,
    *,
    asking: Console | None,
    accept: bool,
) -> bool:
    """Show the plan, and its revisions, until it is accepted or the person stops.

    Args:
        out: where plans are shown; None shows none.
        asking: where to ask a person; None asks nobody.
        accept: accept the first plan without asking.

    Returns: whether the plan is accepted; if not, it waits, or the task ended while the plan was revised.
    """
    before: PlanRef | None = None
    while view.stage == WAIT_RFC:
        plan = plan_under_review(view)
        if out is not None:
            answered = tasks.document(view.id, before.document_id).feedback if before else ()
            render.print_block(out, render.plan(tasks.document(view.id, plan.document_id), answered))
        choice = ACCEPT if accept else _decide(tasks, view, plan, asking)
        if choice == ACCEPT:
            tasks.accept(view.id, plan.hash)
            follower.answered(plan.version)
            if out is not None:
                render.good(out, f"Plan v{plan.version} accepted", plan.hash[:12])
            return True
        if choice == LATER:
            return False
        tasks.done_reviewing(view.id, plan.hash)
        follower.answered(plan.version)
        before, view = plan, follower.until_reviewable()
    return False


def _decide(tasks: TaskClient, view: TaskOut, plan: PlanRef, asking: Console | None) -> str:
    """What the person wants; FEEDBACK once there is some."""
    if asking is None:
        return LATER
    choice = ask(asking)
    while choice == FEEDBACK and not _give_feedback(tasks, view, plan, asking):
        choice = ask(asking)
    return choice


def ask(asking: Console) -> str:
    """The answer of a person: ACCEPT, FEEDBACK or LATER; anything else is explained and asked again."""
    question = Text.assemble(
        ("? ", "cyan"), ("a", "bold cyan"), "ccept   ", ("f", "bold cyan"), "eedback   ", ("l", "bold cyan"), "ater  "
    )
    while True:
        answer = _read(asking, question)
        if answer is None or answer.lower() in ("l", "later"):
            return LATER
        if answer.lower() in ("a", "accept"):
            return ACCEPT
        if answer.lower() in ("f", "feedback"):
            return FEEDBACK
        _explain(asking, answer)


def _explain(asking: Console, answer: str) -> None:
    """What may be answered; after "?" or an empty line too, which are no mistakes."""
    if answer not in ("", "?"):
        render.bad(asking, f"“{answer}” is no answer")
    for key, meaning in ANSWERS.items():
        asking.print(Text.assemble("  ", (key, "bold cyan"), (f"  {meaning}", "dim")))


def _give_feedback(tasks: TaskClient, view: TaskOut, plan: PlanRef, asking: Console) -> bool:
    """Send comments until an empty line; answers whether there was any."""
    asking.print(Text("  One comment a line, “2: …” for step 2; an empty line ends.", "dim"))
    given = 0
    while line := _read(asking, Text.assemble("  ", ("› ", "cyan"))):
        step, body = comment_of(line)
        tasks.add_feedback(view.id, plan.document_id, body, step)
        given += 1
    return given > 0


def comment_of(line: str) -> tuple[int | None, str]:
    """The plan step that a comment is about, and its text: "2: shorter" is (2, "shorter")."""
    number, colon, text = line.partition(":")
    if colon and (number := number.strip()).isascii() and number.isdigit() and text.strip():
        return int(number), text.strip()
    return None, line.strip()


def _read(asking: Console, prompt: Text) -> str | None:
    """A line that the person typed; None at the end of the input."""
    try:
        return asking.input(prompt).strip()
    except EOFError:
        return None
