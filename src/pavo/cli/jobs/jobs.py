"""`pavo job`: an organisation's coding jobs."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter
from rich.console import Console
from rich.text import Text

from pavo.cli import exit_codes
from pavo.cli.confirm import confirm
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.jobs.event_lines import event_line
from pavo.cli.jobs.export import export
from pavo.cli.jobs.files import artifact, artifacts
from pavo.cli.jobs.job_client import JobClient, JobRef
from pavo.cli.jobs.logs import logs
from pavo.cli.jobs.moments import local_time
from pavo.cli.jobs.queue import move_job
from pavo.cli.jobs.spending import asked_of_models, given, shown_budgets, shown_spending
from pavo.cli.output import Output, Printer, console, fields, say
from pavo.cli.parameters import Approved, OrganisationId, Url
from pavo.cli.table import table
from pavo.cli.task import render
from pavo.cli.task.run_options import Budget, BudgetTokens, budgets_of, options_of, prompt_of
from pavo.jobs.requests.schemas import CancelReceiptOut, JobAttemptOut, JobOut, ListedJob, WorkflowStatusOut
from pavo.observe.printable import printable_line
from pavo.timeline.schemas import EventOut

job_app = App(name="job", help="Coding jobs, done by agents on other machines.", help_epilogue=epilogue("job"))
job_app.command(export)
job_app.command(logs)
job_app.command(artifacts)
job_app.command(artifact)
job_app.command(move_job, name="move")
COLUMNS = ("JOB", "STAGE", "TITLE", "REPOSITORY", "AGENT", "CREATED", "BUDGET", "PULL REQUEST")
Values: TypeAlias = Annotated[
    Sequence[str], Parameter(help="K=V, V in JSON or as text; may be repeated.", negative="", show_default=False)
]


@job_app.command(name="submit")
def submit_job(
    prompt: Annotated[str, Parameter(help="What is to be done: the text itself, @FILE, or - for standard input.")],
    /,
    *,
    repo: Annotated[str, Parameter(help="The repository, by its name or id.")],
    program: Annotated[str, Parameter(help="Profile of the coding program that does it, such as codex.")],
    title: Annotated[str | None, Parameter(help="Default: the first line of the prompt.")] = None,
    branch: Annotated[str | None, Parameter(help="What it begins at; default: the repository's.")] = None,
    priority: Annotated[int, Parameter(help="0 to 100; more is sooner.")] = 50,
    label: Annotated[Sequence[str], Parameter(help="One that its agent must have; may be repeated.", negative="")] = (),
    option: Values = (),
    review_plan: Annotated[bool, Parameter(help="People review the agent's plan first.", negative="")] = False,
    draft: Annotated[bool, Parameter(help="Its pull request is a draft.", negative="")] = False,
    attempts: Annotated[int, Parameter(help="After so many that were lost it has failed.")] = 3,
    gateway: Annotated[
        bool, Parameter(help="Its models are asked through Pavo; no key is on the agent's machine.", negative="")
    ] = False,
    budget: Budget = None,
    budget_tokens: BudgetTokens = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Put a job into the queue: a free agent that has its labels and program gets it at once. A budget bounds what is
    asked of models through Pavo, so it wants --gateway."""
    new = {
        "repository": repo,
        "prompt": prompt_of(prompt),
        "program": program,
        "priority": priority,
        "labels": list(label),
        **asked_of_models(options_of(option), budgets_of(budget, budget_tokens), wanted=gateway),
        "review_plan": review_plan,
        "draft": draft,
        "max_attempts": attempts,
        **given({"title": title, "base_branch": branch}),
    }
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.submit(new)
    Printer(output).show(found, f"✓ {found.id} is queued. Watch it: pavo job watch {found.id}")


@job_app.command(name="list")
def list_jobs(
    *,
    stage: Annotated[str | None, Parameter(help="In these stages, such as QUEUED,FAILED; running or over.")] = None,
    repo: Annotated[str | None, Parameter(help="Of this repository.")] = None,
    q: Annotated[str | None, Parameter(name=["--q", "-q"], help="In the title, or an end of the id.")] = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"], help="How many.")] = 20,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """List an organisation's jobs, newest first."""
    chosen = {"stage": stage, "repository": repo, "q": q}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.newest(chosen, limit + 1)
    more = len(found) > limit
    shown = found[:limit]
    Printer(output).show({"jobs": shown}, lambda: _print_jobs(shown, limit if more else 0))


def _print_jobs(found: Sequence[ListedJob], more: int) -> None:
    rows = [
        (
            str(each.id)[-8:],
            each.stage,
            each.title,
            each.repository,
            each.agent or "",
            local_time(each.created_at),
            shown_budgets(each.budgets),
            each.pull_request.url if each.pull_request else "",
        )
        for each in found
    ]
    table(COLUMNS, rows, nothing='No such jobs. Submit one: pavo job submit "…" --repo NAME --program NAME')
    if more:
        told = f"These are the newest {more}; there are older ones. More: pavo job list -n {more * 5}"
        say(told, to=console(stderr=not console().file.isatty()))


@job_app.command(name="show")
def show_job(
    job: JobRef,
    /,
    *,
    workflow: Annotated[bool, Parameter(help="What Temporal knows of its workflow, too.", negative="")] = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Show a job: its stage, its attempts, what went wrong."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.resolve(job)
        known = jobs.workflow(found.id) if workflow else None
    document = {"job": found, "workflow": known} if workflow else found
    Printer(output).show(document, lambda: _print_job(found, known))


def _print_job(found: JobOut, known: WorkflowStatusOut | None) -> None:
    request = found.pull_request
    values: dict[str, object] = {
        "id": found.id,
        "title": found.title,
        "stage": f"{found.stage}{f', {found.outcome}' if found.outcome else ''}",
        "repository": f"{found.repository}, from {found.base_branch}",
        "branch": found.branch,
        "program": found.program,
        "agent": _agent(found),
        "created": f"{local_time(found.created_at)} by {found.created_by or 'somebody who is gone'}",
        "heard": local_time(found.heard_at),
    }
    if request is not None:
        values["request"] = f"{request.url}{f' ({request.state})' if request.state else ''}"
    values |= shown_spending(found)
    if found.error is not None:
        values |= {"error": f"{found.error.type}: {found.error.cause}", "remedy": found.error.remedy}
    for each in found.attempt_list:
        ended = each.ended or "under way"
        values[f"attempt {each.epoch}"] = f"{each.agent}, {ended}{f': {each.reason}' if each.reason else ''}"
        if each.late_work is not None:
            values[f"  late work {each.epoch}"] = _late_work(found, each)
    if known is not None and known.workflow is not None:
        values["workflow"] = f"{known.workflow.status}, {known.workflow.workflow_id}, {known.workflow.run_id}"
        for pending in known.workflow.pending:
            values[f"  {pending.activity}"] = f"{pending.state}, attempt {pending.attempt} {pending.last_failure}"
    fields(values)


def _agent(job: JobOut) -> str:
    if job.agent is None:
        return "none yet"
    return f"none, before {job.agent}" if job.stage == "QUEUED" else job.agent


def _late_work(job: JobOut, attempt: JobAttemptOut) -> str:
    why = f" {attempt.late_reason}" if attempt.late_reason else ""
    how = "finished" if attempt.finished else "unfinished"
    if attempt.adopted_at is not None:
        return f"{how}, adopted: {attempt.commit} on {attempt.branch}"
    told = {
        "owed": f"its agent has not pushed it yet.{why} Give it up: pavo job decline {job.id} {attempt.epoch}",
        "kept": f"{how}: {attempt.commit} on {attempt.branch}. Take it: pavo job adopt {job.id} {attempt.epoch}",
        "nothing": "it changed nothing",
        "gone": f"it is not on its agent's machine any more.{why}",
        "declined": "nobody wanted it",
    }
    return told.get(attempt.late_work or "", attempt.late_work or "")


@job_app.command(name="cancel")
def cancel_job(job: JobRef, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text") -> None:
    """Cancel a job, with all that runs for it at its agent."""
    with JobClient.from_environment(url, org) as jobs:
        receipt = jobs.cancel(jobs.resolve(job).id)
    Printer(output).show(receipt, lambda: _print_cancelled(receipt))


def _print_cancelled(receipt: CancelReceiptOut) -> None:
    say("✓ It is cancelled." if receipt.stage == "CANCELLED" else f"It is {receipt.stage}.")
    if receipt.killed:
        say(f"  {receipt.killed} processes were ended at its agent.")
    if not receipt.reached:
        say("  Its agent could not be reached; it cleans up when it comes back.")


@job_app.command(name="requeue")
def requeue_job(job: JobRef, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text") -> None:
    """Queue a job again that failed or was cancelled."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.requeue(jobs.resolve(job).id)
    Printer(output).show(found, f"✓ It is {found.stage}. Watch it: pavo job watch {found.id}")


@job_app.command(name="rework")
def rework_job(
    job: JobRef,
    review: Annotated[str, Parameter(name="REVIEW", help="What is to change: the text itself, @FILE, or -.")],
    /,
    *,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Have a job answer a review, on the same branch and before the backlog."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.rework(jobs.resolve(job).id, prompt_of(review))
    Printer(output).show(found, f"✓ It is queued to answer that. Watch it: pavo job watch {found.id}")


@job_app.command(name="adopt")
def adopt_attempt(
    job: JobRef,
    epoch: Annotated[int, Parameter(name="ATTEMPT", help="Its number, as pavo job show tells it.")],
    /,
    *,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Take over what a lost attempt has done after all."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.adopt(jobs.resolve(job).id, epoch)
    Printer(output).show(found, f"✓ Adopted; the job is {found.stage}.")


@job_app.command(name="remove")
def remove_job(
    job: JobRef,
    /,
    *,
    yes: Approved = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Remove a job that is over, with its log, its attempts and its files."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.resolve(job)
        if not confirm(f"Remove “{found.title}” for good?", approved=yes or not render.interactive()):
            return exit_codes.FAILED
        jobs.remove(found.id)
    Printer(output).show({"removed": str(found.id)}, f"✓ Removed {found.id}")
    return exit_codes.DONE


@job_app.command(name="decline")
def decline_attempt(
    job: JobRef,
    epoch: Annotated[int, Parameter(name="ATTEMPT", help="Its number, as pavo job show tells it.")],
    /,
    *,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Give up what a lost attempt has changed and its agent has not pushed yet."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.decline(jobs.resolve(job).id, epoch)
    Printer(output).show(found, "✓ Its agent removes it.")


@job_app.command(name="watch")
def watch_job(
    job: JobRef,
    /,
    *,
    after: Annotated[int, Parameter(help="Show what follows this number.")] = 0,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Follow a job until it is over: exit code 1 where it failed or was cancelled. With -o json an event a line."""
    printer = Printer(output)
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.resolve(job)
        out = printer.people
        for event in jobs.events(found.id, after):
            printer.show_line(event, partial(_print_event, out, event))
            if _over(event):
                found = jobs.get(found.id)
                if found.stage in ("DONE", "FAILED", "CANCELLED"):
                    break
        found = jobs.get(found.id)
    return exit_codes.DONE if found.stage == "DONE" else exit_codes.FAILED


def _over(event: EventOut) -> bool:
    return event.type == "stage" and (event.model_extra or {}).get("stage") in ("DONE", "FAILED", "CANCELLED")


def _print_event(out: Console, event: EventOut) -> None:
    told = event_line(event.model_extra or {})
    line = (f"{local_time(event.at)}  ", f"{event.type:<14} ", printable_line(told))
    out.print(Text.assemble((line[0], "dim"), (line[1], "bold"), line[2]), soft_wrap=True)


give_examples(job_app, "job")
