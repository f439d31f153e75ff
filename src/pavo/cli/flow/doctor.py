"""`pavo flow doctor`: runs whose rows and workflows disagree, and runs that nobody executes."""

from typing import Annotated

from cyclopts import Parameter

from pavo.cli.exit_codes import DONE, FAILED
from pavo.cli.flow.client import FlowClient
from pavo.cli.output import Output, Printer, say
from pavo.cli.parameters import OrganisationId, Url
from pavo.flows.doctoring.schemas import FlowDoctorOut

Repair = Annotated[bool, Parameter(negative="", help="Do what can be done about it, and say what was done.")]


def doctor(*, repair: Repair = False, org: OrganisationId = None, url: Url = None, output: Output = "text") -> int:
    """Look for runs whose rows and workflows disagree, and for runs that nobody executes; exit code 1 when something is
    wrong and was not repaired. Without --repair nothing is changed."""
    with FlowClient.from_environment(url, org) as client:
        found = client.doctor(repair=repair)
    Printer(output).show(found, lambda: _tell(found))
    return DONE if found.ok else FAILED


def _tell(found: FlowDoctorOut) -> None:
    for each in found.findings:
        say(f"{'✗' if each.repaired is None else '✓'} {each.flow} {each.run_id}: {each.what.replace('_', ' ')}")
        say(f"  {each.told}")
        say(f"  → {each.repaired or each.remedy}")
    for each in found.unchecked:
        say(f"Not looked at: {each}")
    if not found.whole:
        say("There are more runs than were looked at: the oldest were.")
    if found.ok and not found.findings:
        say(f"✓ Nothing is wrong. Runs on Temporal, or due: {found.looked_at}.")
    elif any(each.repairable and each.repaired is None for each in found.findings):
        say("Have it done what can be: pavo flow doctor --repair")
