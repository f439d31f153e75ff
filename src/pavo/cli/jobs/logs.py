"""`pavo job logs`: what a job's program printed, and what was done for it."""

import time
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Final

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from pavo.cli.jobs.job_client import JobClient, JobRef
from pavo.cli.output import Output, Printer, console
from pavo.cli.parameters import OrganisationId, Url
from pavo.jobs.logs.domain import Level
from pavo.jobs.logs.schemas import JobLogLine
from pavo.observe.printable import printable_line

OVER: Final = ("DONE", "FAILED", "CANCELLED")
ASK_SECONDS: Final = 0.5
STYLES: Final = {"warning": "yellow", "error": "red", "debug": "dim"}


def logs(
    job: JobRef,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="", help="Go on until it is over.")] = False,
    after: Annotated[str, Parameter(help="Show what follows this line, such as 1-250.")] = "",
    level: Annotated[Level, Parameter(help="This level and above.")] = "debug",
    stage: Annotated[str | None, Parameter(help="Of this stage alone, such as VERIFYING.")] = None,
    attempt: Annotated[int | None, Parameter(help="Of this attempt alone.")] = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Show a job's log. With -o json each line as a line of JSON."""
    printer, out = Printer(output), console()
    with JobClient.from_environment(url, org) as jobs:
        found = jobs.resolve(job)
        wanted = {"level": level, "stage": stage, "epoch": attempt}
        for line in _lines(jobs, found.id, after, wanted, follow=follow):
            printer.show_line(line, partial(_print_line, out, line))


def _lines(
    jobs: JobClient, job_id: uuid.UUID, after: str, wanted: dict[str, Any], *, follow: bool
) -> Iterator[JobLogLine]:
    while True:
        # Looked at before the page: what was logged until then is on it.
        over = follow and jobs.get(job_id).stage in OVER
        page = jobs.log(job_id, after=after, limit=1000, **wanted)
        yield from page.items
        after = page.next
        if page.more:
            continue
        if not follow or over:
            return
        if not page.items:
            time.sleep(ASK_SECONDS)


def _print_line(shown: Console, line: JobLogLine) -> None:
    if line.gap:
        shown.print(Text(f"… {line.gap} lines were dropped at the agent", style="dim"), soft_wrap=True)
    head = f"{line.id:<8} {line.source:<10} "
    text = Text.assemble((head, "dim"), (printable_line(line.text), STYLES.get(line.level, "")))
    shown.print(text, soft_wrap=True)
