"""`pavo queue`: the order in which an organisation's coding jobs are done."""

from typing import Annotated

from cyclopts import App, Parameter

from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.jobs.job_client import JobClient, JobRef
from pavo.cli.jobs.moments import local_time
from pavo.cli.jobs.spending import shown_budgets
from pavo.cli.output import Output, Printer, say
from pavo.cli.parameters import OrganisationId, Url
from pavo.cli.table import table
from pavo.jobs.requests.queue_schemas import QueueOut

queue_app = App(name="queue", help="The queue of an organisation's coding jobs.", help_epilogue=epilogue("queue"))
EXECUTING = ("JOB", "TITLE", "STAGE", "AGENT", "SINCE", "BUDGET")
QUEUED = ("PLACE", "JOB", "TITLE", "KIND", "PRIORITY", "BUDGET", "WHY IT WAITS")


@queue_app.command(name="show")
def show_queue(
    *,
    limit: Annotated[int, Parameter(name=["--limit", "-n"], help="How many that wait, 500 at most.")] = 50,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Show what is in progress and by whom, what waits in which order, and why."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.queue(limit)
    Printer(output).show(found, lambda: _print_queue(found))


def _print_queue(found: QueueOut) -> None:
    paused = f"paused since {local_time(found.paused_at)}" if found.paused else "open"
    say(f"The queue is {paused}; {found.at_once} at once; {found.connected} of {found.agents} agents connected.")
    say("")
    rows = [
        (
            *(str(each.id)[-8:], each.title, each.stage, each.agent or ""),
            *(local_time(each.since), shown_budgets(each.budgets)),
        )
        for each in found.executing
    ]
    table(EXECUTING, rows, nothing="Nothing is in progress.")
    say("")
    waiting = [
        (
            *(str(each.position), str(each.id)[-8:], each.title, each.kind, str(each.priority)),
            *(shown_budgets(each.budgets), each.why.text),
        )
        for each in found.queued
    ]
    table(QUEUED, waiting, nothing='Nothing waits. Submit a job: pavo job submit "…" --repo NAME --program NAME')
    total = found.counts.get("QUEUED", len(waiting))
    if total > len(waiting):
        say(f"These are the first {len(waiting)} of {total:,}. More: pavo queue show -n {min(500, total)}")


@queue_app.command(name="pause")
def pause_queue(*, org: OrganisationId = None, url: Url = None, output: Output = "text") -> None:
    """Begin no further job; those in progress go on."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.pause(wanted=True)
    told = f"✓ The queue is paused; what is in progress goes on: {len(found.executing)}. Then: pavo queue resume"
    Printer(output).show(found, told)


@queue_app.command(name="resume")
def resume_queue(*, org: OrganisationId = None, url: Url = None, output: Output = "text") -> None:
    """Begin jobs again, at once."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.pause(wanted=False)
    waiting = found.counts.get("QUEUED", 0)
    told = "1 job waits" if waiting == 1 else f"{waiting} jobs wait"
    Printer(output).show(found, f"✓ The queue is open; {told}.")


@queue_app.command(name="move")
def move_job(
    job: JobRef,
    /,
    *,
    position: Annotated[int | None, Parameter(help="From 1; rework stays before backlog.")] = None,
    priority: Annotated[int | None, Parameter(help="0 to 100; more is sooner.")] = None,
    url: Url = None,
    org: OrganisationId = None,
    output: Output = "text",
) -> None:
    """Give a job that waits another position or another priority; the others keep their order."""
    with JobClient.from_environment(url, org) as jobs:
        moved = jobs.move(jobs.resolve(job).id, position, priority)
    Printer(output).show(moved, f"✓ It is number {moved.position}, with priority {moved.priority}.")


@queue_app.command(name="limit")
def limit_queue(
    at_once: Annotated[int, Parameter(name="COUNT", help="Jobs that are done at the same time.")],
    /,
    *,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Say how many jobs are done at the same time; those in progress go on. For owners."""
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.limit(at_once)
    Printer(output).show(found, f"✓ {found.at_once} at once.")


give_examples(queue_app, "queue")
