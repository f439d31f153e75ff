"""`pavo flow retry`, `skip` and `set`: having a run go on that has failed, on whichever engine it is."""

import uuid
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pavo.cli.admin.operators import DataDir, OrganisationName
from pavo.cli.flow.connected import RunId, connected
from pavo.cli.flow.people import json_of
from pavo.cli.output import Output, Printer, say
from pavo.flows.correcting.service import Asked, Correction, RunCorrections

Reason = Annotated[str, Parameter(help="For those who look at the run.")]
Again = Annotated[
    bool,
    Parameter(negative=(), help="Do steps again that had begun and must not be repeated by themselves. Look first."),
]


async def retry(
    run: RunId,
    /,
    *steps: str,
    again: Again = False,
    reason: Reason = "",
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Have a run that has failed go on from these steps. They, what comes after them and what was given up since
    something had failed is done anew; all other results are kept.

    Args:
        steps: their ids in the flow.
    """
    asked = Asked([Correction(each, "retry") for each in steps], reason, None, again)
    await _correct(run, asked, org, output, data_dir)


async def skip(
    run: RunId,
    /,
    *steps: str,
    again: Again = False,
    reason: Reason = "",
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Have a run that has failed go on without these steps. They count as skipped, which is no success: what needs
    nothing else is skipped as well.

    Args:
        steps: their ids in the flow.
    """
    asked = Asked([Correction(each, "skip") for each in steps], reason, None, again)
    await _correct(run, asked, org, output, data_dir)


async def set_output(
    run: RunId,
    step: str,
    /,
    *,
    gives: Annotated[str, Parameter(help="The output, as JSON.", allow_leading_hyphen=True)],
    again: Again = False,
    reason: Reason = "",
    org: OrganisationName = None,
    output: Output = "text",
    data_dir: DataDir = None,
) -> None:
    """Have a run that has failed go on as if a step had given this. It is checked against what the step declares.

    Args:
        step: its id in the flow.
    """
    asked = Asked([Correction(step, "set", json_of(gives))], reason, None, again)
    await _correct(run, asked, org, output, data_dir)


async def _correct(run: uuid.UUID, asked: Asked, org: str | None, output: Output, data_dir: Path | None) -> None:
    async with connected(data_dir, org) as here:
        forgotten = await RunCorrections(here.database).correct(here.organisation, run, asked)
    document = {"id": str(run), "steps": {each.step: each.does for each in asked.corrections}, "forgotten": forgotten}
    Printer(output).show(document, lambda: say(f"The run goes on. See: pavo flow status {run}"))
