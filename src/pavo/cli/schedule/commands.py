"""`pavo schedule`: tasks and coding jobs that start again and again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

from cyclopts import App, Parameter, validators
from rich.console import Console

from pavo.cli import exit_codes
from pavo.cli.confirm import confirm
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.jobs.moments import local_time
from pavo.cli.jobs.spending import given
from pavo.cli.output import Output, Printer, fields, say
from pavo.cli.parameters import Approved, Limit, OrganisationId, Url
from pavo.cli.schedule import typed as t
from pavo.cli.schedule.client import ScheduleClient
from pavo.cli.table import Listing, table
from pavo.errors import InvalidInput
from pavo.kit.clock import iso
from pavo.schedules.domain import Overlap, Which
from pavo.schedules.schemas import FiringOut, ScheduleOut
from pavo.schedules.times.spec import length_text

schedule_app = App(
    name="schedule", help="What starts tasks and coding jobs again and again.", help_epilogue=epilogue("schedule")
)
ScheduleRef: TypeAlias = Annotated[str, Parameter(name="SCHEDULE", help="The schedule's name, or its id.")]
MaybeSchedule: TypeAlias = Annotated[
    str | None, Parameter(name="SCHEDULE", help="Its name or id; none: of times that are typed.")
]
OverlapOption: TypeAlias = Annotated[
    Overlap | None,
    Parameter(help="While what it started before is open; SKIP, if nothing is said: that time is left out."),
]
CatchUp: TypeAlias = Annotated[
    str | None, Parameter(help="What could not start in time starts later by so much at most: 1h, if nothing is said.")
]
Count: TypeAlias = Annotated[
    int, Parameter(name=["--count", "-n"], validator=validators.Number(gte=1, lte=100), help="How many.")
]


@schedule_app.command(name="create")
def create_schedule(
    name: str,
    /,
    *,
    cron: t.Cron = None,
    every: t.Every = None,
    time_zone: t.Zone = None,
    jitter: t.Jitter = None,
    start: t.Start = None,
    end: t.End = None,
    times: t.TimesFile = None,
    task: t.TaskTitle = None,
    prompt: t.Prompt = None,
    agent: t.AgentType = None,
    option: t.Options = (),
    accept: t.Accept = False,
    job: t.JobPrompt = None,
    repo: t.Repo = None,
    program: t.Program = None,
    starts: t.StartsFile = None,
    overlap: OverlapOption = None,
    catch_up: CatchUp = None,
    paused: Annotated[str | None, Parameter(help="Why it does not go on yet.")] = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Make a schedule, by cron lines, intervals or calendars, that starts a task or a coding job.

    Args:
        name: what it is called: letters, digits, _, . and -.
    """
    said = t.starts_of(task, prompt, agent, option, accept, job, repo, program, starts)
    if said is None:
        raise InvalidInput("Nothing is to be started.", field="--task", remedy="Name --task, --job or --starts.")
    when = t.times_of(cron, every, time_zone, jitter, start, end, times) or {}
    values = {"name": name, "starts": said, "times": when, "overlap": overlap, "catch_up": catch_up, "paused": paused}
    with ScheduleClient.from_environment(url, org) as client:
        found = client.create(given(values))
    Printer(output).show(found, f"✓ {found.name} is made. {_goes_on(found)}")


@schedule_app.command(name="set")
def set_schedule(
    schedule: ScheduleRef,
    /,
    *,
    cron: t.Cron = None,
    every: t.Every = None,
    time_zone: t.Zone = None,
    jitter: t.Jitter = None,
    start: t.Start = None,
    end: t.End = None,
    times: t.TimesFile = None,
    task: t.TaskTitle = None,
    prompt: t.Prompt = None,
    agent: t.AgentType = None,
    option: t.Options = (),
    accept: t.Accept = False,
    job: t.JobPrompt = None,
    repo: t.Repo = None,
    program: t.Program = None,
    starts: t.StartsFile = None,
    overlap: OverlapOption = None,
    catch_up: CatchUp = None,
    name: Annotated[str | None, Parameter(help="Another name.")] = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Change what is given: all of its times, or all that it starts; from then on it acts for you."""
    said = t.starts_of(task, prompt, agent, option, accept, job, repo, program, starts)
    when = t.times_of(cron, every, time_zone, jitter, start, end, times)
    changes = given({"starts": said, "times": when, "overlap": overlap, "catch_up": catch_up, "name": name})
    if not changes:
        raise InvalidInput("Nothing is to be changed.", field="options", remedy="See: pavo schedule set --help")
    with ScheduleClient.from_environment(url, org) as client:
        found = client.edit(client.named(schedule), changes)
    Printer(output).show(found, f"✓ {found.name} is changed. {_goes_on(found)}")


@schedule_app.command(name="list")
def list_schedules(
    *, limit: Limit = None, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """List the schedules of your organisations, by name."""
    with ScheduleClient.from_environment(url, org) as client:
        found = client.all()
    _SCHEDULES.show(output, found, lambda one: one, limit)


_SCHEDULES: Final[Listing[ScheduleOut]] = Listing(
    "schedules",
    {
        "NAME": lambda one: one.name,
        "STARTS": lambda one: one.kind,
        "TIMES": lambda one: _times_text(one),
        "NEXT": lambda one: "paused" if one.paused else local_time(one.next[0] if one.next else None),
        "OVERLAP": lambda one: one.overlap,
    },
    nothing='There are no schedules. Make one: pavo schedule create nightly --cron "0 2 * * *" --task "Report"',
    command="pavo schedule list",
)


@schedule_app.command(name="show")
def show_schedule(
    schedule: ScheduleRef, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Show a schedule: what it starts, its times, and what became of the last ones."""
    with ScheduleClient.from_environment(url, org) as client:
        found = client.named(schedule)
        last = client.firings(found, 5)
    document = {**found.model_dump(mode="json"), "firings": [each.model_dump(mode="json") for each in last]}
    Printer(output).show(document, lambda: _print_schedule(found, last))


def _print_schedule(found: ScheduleOut, last: Sequence[FiringOut]) -> None:
    paused = found.paused
    fields(
        {
            "id": found.id,
            "name": found.name,
            "starts": f"{found.kind}: {found.body.get('title') or found.body.get('prompt') or ''}",
            "times": _times_text(found),
            "time zone": found.times.time_zone,
            "overlap": found.overlap,
            "catch-up": f"{length_text(found.catch_up)}; {found.missed} were too late for that",
            "paused": f"since {local_time(paused.at)} by {paused.by}: {paused.reason}" if paused else "no",
            "acts for": found.acts_for or "nobody any more: change it, and it acts for you",
            "version": f"{found.version}{'' if found.in_step else ', which Temporal has not got yet'}",
            "next": ", ".join(local_time(each) for each in found.next[:3]) or "none",
        }
    )
    _print_firings(last)


@schedule_app.command(name="firings")
def list_firings(
    schedule: ScheduleRef, /, *, count: Count = 20, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Show what became of a schedule's times, newest first."""
    with ScheduleClient.from_environment(url, org) as client:
        found = client.firings(client.named(schedule), count)
    Printer(output).show({"firings": found}, lambda: _print_firings(found))


def _print_firings(found: Sequence[FiringOut]) -> None:
    rows = [(local_time(one.nominal_at), one.reason, one.state, one.outcome or "", _became(one)) for one in found]
    table(("TIME", "REASON", "STATE", "OUTCOME", "WHAT"), rows, nothing="None of its times has come yet.")


def _became(one: FiringOut) -> str:
    return f"{one.kind} {one.subject_id}" if one.subject_id and not one.told else one.told


@schedule_app.command(name="next")
def next_times(
    schedule: MaybeSchedule = None,
    /,
    *,
    cron: t.Cron = None,
    every: t.Every = None,
    time_zone: t.Zone = None,
    start: t.Start = None,
    end: t.End = None,
    times: t.TimesFile = None,
    count: Count = 10,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> None:
    """Show the next times of a schedule, or of times that are typed and are no schedule's yet."""
    with ScheduleClient.from_environment(url, org) as client:
        wanted = t.times_of(cron, every, time_zone, None, start, end, times) or {}
        if schedule is not None:
            wanted = client.named(schedule).times.model_dump(mode="json", exclude_defaults=True)
        found = client.preview(wanted, count)
    Printer(output).show(found, lambda: _print_times(found.times))


def _print_times(times: Sequence[datetime], to: Console | None = None) -> None:
    for each in times:
        say(f"{iso(each)[:19]}Z  {each.astimezone():%a %Y-%m-%d %H:%M:%S %Z}", to=to)
    if not times:
        say("There are none any more.", to=to)


@schedule_app.command(name="pause")
def pause_schedule(
    schedule: ScheduleRef, reason: str, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Have a schedule start nothing by itself; trigger and backfill work all the same.

    Args:
        reason: why, for whoever looks at it.
    """
    with ScheduleClient.from_environment(url, org) as client:
        found = client.pause(client.named(schedule), reason)
    Printer(output).show(found, f"✓ {found.name} is paused: {reason}")


@schedule_app.command(name="resume")
def resume_schedule(
    schedule: ScheduleRef, /, *, org: OrganisationId = None, url: Url = None, output: Output = "text"
) -> None:
    """Have a paused schedule go on with its next time; those of the pause can be back-filled."""
    with ScheduleClient.from_environment(url, org) as client:
        found = client.resume(client.named(schedule))
    Printer(output).show(found, f"✓ {found.name} goes on. {_goes_on(found)}")


@schedule_app.command(name="trigger")
def trigger_schedule(
    schedule: ScheduleRef,
    /,
    *,
    overlap: Annotated[Overlap | None, Parameter(help="For this start; else as the schedule has it.")] = None,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Start what a schedule starts now, also while it is paused."""
    with ScheduleClient.from_environment(url, org) as client:
        found = client.trigger(client.named(schedule), overlap)
    mark = {"started": "✓", "failed": "✗", "skipped": "✗"}.get(found.state, "…")
    Printer(output).show(found, f"{mark} {found.state}: {_became(found)}")
    return exit_codes.FAILED if found.state in ("failed", "skipped") else exit_codes.DONE


@schedule_app.command(name="backfill")
def backfill_schedule(
    schedule: ScheduleRef,
    /,
    *,
    since: str,
    until: str | None = None,
    which: Which = "missing",
    overlap: Overlap = "BUFFER_ALL",
    yes: Approved = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Have times of the past start now, once you have seen exactly which.

    Args:
        since: from when on: 2026-11-26T08:00:00Z, or how long ago: 24h.
        until: until when, likewise; now, if nothing is said.
        which: missing: those at which nothing was started; failed: whose start or work failed; all.
        overlap: for these times: one after the other, if nothing is said.
    """
    wanted: dict[str, Any] = {"since": since, "until": until, "which": which, "overlap": overlap}
    with ScheduleClient.from_environment(url, org) as client:
        one = client.named(schedule)
        shown = client.backfill(one, wanted)
        if not shown.times:
            Printer(output).show(shown, "There is no such time: nothing is to start.")
            return exit_codes.DONE
        _print_times(shown.times, Printer(output).people)
        if not confirm(f"Start {one.name} for these {len(shown.times)} times?", approved=yes):
            return exit_codes.FAILED
        moments = {"since": iso(shown.since), "until": iso(shown.until)}
        found = client.backfill(one, {**wanted, **moments, "hash": shown.hash})
    Printer(output).show(found, f"✓ {len(found.times)} times start. See: pavo schedule firings {one.name}")
    return exit_codes.DONE


@schedule_app.command(name="delete")
def delete_schedule(
    schedule: ScheduleRef,
    /,
    *,
    yes: Approved = False,
    org: OrganisationId = None,
    url: Url = None,
    output: Output = "text",
) -> int:
    """Remove a schedule with what is known of its times; the tasks and jobs that it started stay."""
    with ScheduleClient.from_environment(url, org) as client:
        found = client.named(schedule)
        if not confirm(f"Remove {found.name}?", approved=yes):
            return exit_codes.FAILED
        client.delete(found)
    Printer(output).show({"removed": str(found.id)}, f"✓ {found.name} is removed.")
    return exit_codes.DONE


def _times_text(one: ScheduleOut) -> str:
    times = one.times
    said = [*times.cron]
    for each in times.intervals:
        offset = f"+{length_text(each.offset)}" if each.offset else ""
        said.append(f"every {length_text(each.every)}{offset}")
    said += [f"{len(times.calendars)} calendars"] * bool(times.calendars)
    said += [f"up to {length_text(times.jitter)} later"] * bool(times.jitter)
    return ", ".join(said)


def _goes_on(found: ScheduleOut) -> str:
    if found.paused is not None:
        return f"It is paused: {found.paused.reason}"
    return f"Next: {local_time(found.next[0])}" if found.next else "None of its times is to come."


give_examples(schedule_app, "schedule")
