"""`pavo trigger`: tasks, coding jobs and flows that start when a message comes, or something ends."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

from cyclopts import App, Parameter, validators

from pavo.cli import exit_codes
from pavo.cli.confirm import confirm
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.jobs.moments import local_time
from pavo.cli.jobs.spending import given
from pavo.cli.output import Output, Printer, fields, say
from pavo.cli.parameters import Approved, Limit, OrganisationId, Url
from pavo.cli.schedule import typed as t
from pavo.cli.table import Listing, table
from pavo.cli.task.run_options import options_of
from pavo.cli.trigger.client import TriggerClient
from pavo.errors import InvalidInput
from pavo.starts.schemas import Kind
from pavo.triggers.domain import Ending
from pavo.triggers.schemas import TriggerFiringOut, TriggerOut, TriggerWithSecretOut
from pavo.webhooks.domain import OVERLAP

trigger_app = App(
    name="trigger",
    help="What starts when a message comes, or when something ends.",
    help_epilogue=epilogue("trigger"),
)
TriggerRef: TypeAlias = Annotated[str, Parameter(name="TRIGGER", help="The trigger's name, or its id.")]
FlowName: TypeAlias = Annotated[str | None, Parameter(name="--flow", help="Starts a run of this published flow.")]
Inputs: TypeAlias = Annotated[
    Sequence[str], Parameter(name="--input", help="Of the flow, as NAME=VALUE; may be repeated.", negative="")
]
When: TypeAlias = Annotated[
    Kind | None, Parameter(name="--when", help="Ends of these start it; none: signed messages do.")
]
Outcomes: TypeAlias = Annotated[
    Sequence[Ending], Parameter(name="--outcome", help="Which ends; none: all. May be repeated.", negative="")
]
OfFlows: TypeAlias = Annotated[
    Sequence[str], Parameter(name="--of", help="Of runs: names of flows; none: all. May be repeated.", negative="")
]
Condition: TypeAlias = Annotated[
    str | None, Parameter(help="An expression; where it is false nothing is started: ${{ body.action == 'opened' }}")
]
PerMinute: TypeAlias = Annotated[
    int | None, Parameter(validator=validators.Number(gte=1, lte=600), help="Messages that are taken; 60, if unsaid.")
]
Count: TypeAlias = Annotated[
    int, Parameter(name=["--count", "-n"], validator=validators.Number(gte=1, lte=1_000), help="How many.")
]


@trigger_app.command(name="create")
def create_trigger(
    name: str,
    /,
    *,
    flow: FlowName = None,
    inputs: Inputs = (),
    task: t.TaskTitle = None,
    prompt: t.Prompt = None,
    agent: t.AgentType = None,
    option: t.Options = (),
    accept: t.Accept = False,
    job: t.JobPrompt = None,
    repo: t.Repo = None,
    program: t.Program = None,
    starts: t.StartsFile = None,
    when: When = None,
    outcomes: Outcomes = (),
    of: OfFlows = (),
    condition: Condition = None,
    per_minute: PerMinute = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Make a trigger. What it starts may hold expressions of the message: ${{ body.issue.title }}.

    Args:
        name: what it is called: letters, digits, _, . and -.
    """
    others = t.starts_of(task, prompt, agent, option, accept, job, repo, program, starts)
    values = {"name": name, "starts": _starts(flow, inputs, others), "when": _when(when, outcomes, of)}
    with TriggerClient.from_environment(url, org) as client:
        made = client.create(given({**values, "condition": condition, "per_minute": per_minute}))
    Printer(output).show(made, lambda: _print_secret(made, f"✓ {made.name} is made."))


def _starts(flow: str | None, inputs: Sequence[str], others: dict[str, Any] | None) -> dict[str, Any]:
    if (flow is None) == (others is None):
        remedy = "Name exactly one of --flow, --task, --job and --starts."
        raise InvalidInput("It says nothing or two things to start.", field="--flow", remedy=remedy)
    if flow is None and inputs:
        raise InvalidInput("Inputs are of flows.", field="--input", remedy="Name the flow: --flow.")
    return others if others is not None else {"flow": {"name": flow, "inputs": options_of(inputs)}}


def _when(kind: Kind | None, outcomes: Sequence[Ending], flows: Sequence[str]) -> dict[str, Any] | None:
    if kind is None and (outcomes or flows):
        raise InvalidInput("Outcomes are of what ends.", field="--when", remedy="Say of what: --when flow.")
    return None if kind is None else {"kind": kind, "outcomes": [*outcomes], "flows": [*flows]}


def _print_secret(made: TriggerWithSecretOut, done: str) -> None:
    say(done)
    if made.path is not None:
        say(f"Send messages to {made.path}, signed with this secret, which is shown this once:")
        say(f"{made.secret}")


@trigger_app.command(name="list")
def list_triggers(*, limit: Limit = None, org: OrganisationId = None, url: Url = None, output: Output = "text") -> None:
    """List the triggers of your organisations, by name."""
    with TriggerClient.from_environment(url, org) as client:
        found = client.all()
    _TRIGGERS.show(output, found, lambda one: one, limit)


def _when_text(one: TriggerOut) -> str:
    if one.when is None:
        return "a message comes"
    flows = f" of {', '.join(one.when.flows)}" if one.when.flows else ""
    return f"a {one.when.kind}{flows} has {' or '.join(one.when.outcomes) or 'ended'}"


_TRIGGERS: Final[Listing[TriggerOut]] = Listing(
    "triggers",
    {
        "NAME": lambda one: one.name,
        "WHEN": _when_text,
        "STARTS": lambda one: one.kind,
        "STATE": lambda one: "paused" if one.paused else "active",
    },
    nothing="There are no triggers. Make one: pavo trigger create triage --task '${{ body.issue.title }}'",
    command="pavo trigger list",
)


@trigger_app.command(name="show")
def show_trigger(
    trigger: TriggerRef, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Show a trigger: when it starts what, and what became of the last times."""
    with TriggerClient.from_environment(url, org) as client:
        found = client.named(trigger)
        last = client.firings(found, 5)
    document = {**found.model_dump(mode="json"), "firings": [each.model_dump(mode="json") for each in last]}
    Printer(output).show(document, lambda: _print_trigger(found, last))


def _print_trigger(found: TriggerOut, last: Sequence[TriggerFiringOut]) -> None:
    body, paused = found.body, found.paused
    rows: dict[str, Any] = {
        "id": found.id,
        "name": found.name,
        "when": _when_text(found),
        "starts": f"{found.kind}: {body.get('name') or body.get('title') or body.get('prompt') or ''}",
        "condition": found.condition or "none",
    }
    if found.path is not None:
        rows |= {"messages to": found.path, "at most": f"{found.per_minute} a minute", "secrets": found.secrets}
    by = paused.by or "Pavo" if paused else ""
    rows["paused"] = f"since {local_time(paused.at)} by {by}: {paused.reason}" if paused else "no"
    rows["acts for"] = found.acts_for or "nobody any more: have it go on (resume), and it acts for you"
    fields(rows)
    _print_firings(last)


@trigger_app.command(name="firings")
def list_firings(
    trigger: TriggerRef, /, *, count: Count = 20, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Show what became of messages and ends, newest first."""
    with TriggerClient.from_environment(url, org) as client:
        found = client.firings(client.named(trigger), count)
    Printer(output).show({"firings": found}, lambda: _print_firings(found))


def _print_firings(found: Sequence[TriggerFiringOut]) -> None:
    rows = [(local_time(one.created_at), one.event, one.state, one.outcome or "", _became(one)) for one in found]
    table(("TIME", "EVENT", "STATE", "OUTCOME", "WHAT"), rows, nothing="Nothing has come yet.")


def _became(one: TriggerFiringOut) -> str:
    return f"{one.kind} {one.subject_id}" if one.subject_id and not one.told else one.told


@trigger_app.command(name="pause")
def pause_trigger(
    trigger: TriggerRef, reason: str, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Have a trigger start nothing: messages are refused, and ends go by.

    Args:
        reason: why, for whoever looks at it, and for its senders.
    """
    with TriggerClient.from_environment(url, org) as client:
        found = client.pause(client.named(trigger), reason)
    Printer(output).show(found, f"✓ {found.name} is paused: {reason}")


@trigger_app.command(name="resume")
def resume_trigger(
    trigger: TriggerRef, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Have a paused trigger go on; from then on it acts for you."""
    with TriggerClient.from_environment(url, org) as client:
        found = client.resume(client.named(trigger))
    Printer(output).show(found, f"✓ {found.name} goes on.")


@trigger_app.command(name="rotate")
def rotate_trigger(
    trigger: TriggerRef,
    /,
    *,
    overlap: timedelta = OVERLAP,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Make a new secret for a trigger; those before it count for a while still.

    Args:
        overlap: how long: 24h, 90s.
    """
    with TriggerClient.from_environment(url, org) as client:
        made = client.rotate(client.named(trigger), int(overlap.total_seconds()))
    Printer(output).show(made, lambda: _print_secret(made, f"✓ {made.name} has a new secret."))


@trigger_app.command(name="remove")
def remove_trigger(
    trigger: TriggerRef,
    /,
    *,
    yes: Approved = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Remove a trigger with its firings; what it started stays."""
    with TriggerClient.from_environment(url, org) as client:
        found = client.named(trigger)
        if not confirm(f"Remove {found.name}?", approved=yes):
            return exit_codes.FAILED
        client.remove(found)
    Printer(output).show({"removed": str(found.id)}, f"✓ {found.name} is removed.")
    return exit_codes.DONE


give_examples(trigger_app, "trigger")
