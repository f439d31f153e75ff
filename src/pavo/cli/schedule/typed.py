"""What is typed of a schedule: its times, and what it starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import orjson
from cyclopts import Parameter

from pavo.cli.jobs.spending import given
from pavo.cli.task.run_options import options_of, prompt_of
from pavo.errors import InvalidInput

Cron: TypeAlias = Annotated[
    Sequence[str] | None,
    Parameter(help="Five fields (minute, hour, day of month, month, day of week), or @daily; may be repeated."),
]
Every: TypeAlias = Annotated[
    Sequence[str] | None, Parameter(help="An interval: 15m, or 1h+5m for five minutes past; may be repeated.")
]
Zone: TypeAlias = Annotated[str | None, Parameter(name="--time-zone", help="Of cron lines, such as Europe/Berlin.")]
Jitter: TypeAlias = Annotated[str | None, Parameter(help="Each start is later by up to so much: 5m.")]
Start: TypeAlias = Annotated[str | None, Parameter(help="Nothing starts before: 2026-12-01T00:00:00Z.")]
End: TypeAlias = Annotated[str | None, Parameter(help="Nothing starts after, likewise.")]
TimesFile: TypeAlias = Annotated[
    Path | None, Parameter(name="--times", help="A file with all times as JSON, calendars too: the API's `times`.")
]
TaskTitle: TypeAlias = Annotated[str | None, Parameter(name="--task", help="Starts a task with this title.")]
Prompt: TypeAlias = Annotated[str | None, Parameter(help="Of the task: the text, @FILE, or - for standard input.")]
AgentType: TypeAlias = Annotated[str | None, Parameter(name="--agent", help="That does the task; see: pavo agents")]
Options: TypeAlias = Annotated[
    Sequence[str], Parameter(name="--option", help="Of the task's agent, as K=V; may be repeated.", negative="")
]
Accept: TypeAlias = Annotated[bool, Parameter(negative="", help="The task's plan is not reviewed.")]
JobPrompt: TypeAlias = Annotated[str | None, Parameter(name="--job", help="Submits a coding job with this prompt.")]
Repo: TypeAlias = Annotated[str | None, Parameter(help="Of the job.")]
Program: TypeAlias = Annotated[str | None, Parameter(help="That does the job, such as codex.")]
StartsFile: TypeAlias = Annotated[
    Path | None,
    Parameter(name="--starts", help='A file with what is started, as JSON: {"task": …} or {"job": …}.'),
]


def times_of(
    cron: Sequence[str] | None,
    every: Sequence[str] | None,
    zone: str | None,
    jitter: str | None,
    start: str | None,
    end: str | None,
    file: Path | None = None,
) -> dict[str, Any] | None:
    """As the API takes them; None: none are given.

    Raises:
        InvalidInput: the file cannot be read, or is no JSON.
    """
    intervals = [_interval(each) for each in every] if every else None
    cron_lines = [*cron] if cron else None
    bounds = {"time_zone": zone, "jitter": jitter, "start": start, "end": end}
    typed = given({"cron": cron_lines, "intervals": intervals, **bounds})
    found = {**(_json(file, "--times") if file else {}), **typed}
    return found or None


def starts_of(
    task: str | None,
    prompt: str | None,
    agent: str | None,
    options: Sequence[str],
    accept: bool,
    job: str | None,
    repo: str | None,
    program: str | None,
    file: Path | None,
) -> dict[str, Any] | None:
    """As the API takes it; None: nothing is given.

    Raises:
        InvalidInput: not exactly one of a task, a job and a file, or what belongs to another one.
    """
    ways = [name for name, value in (("--task", task), ("--job", job), ("--starts", file)) if value is not None]
    of_task = {"prompt": prompt, "agent_type": agent, "agent_options": options_of(options) or None}
    of_job = {"repository": repo, "program": program}
    if len(ways) > 1 or (not ways and (given(of_task) or given(of_job) or accept)):
        remedy = "Name exactly one of --task, --job and --starts."
        raise InvalidInput(f"It says {' and '.join(ways) or 'not what'} to start.", field="--task", remedy=remedy)
    if task is not None:
        of_task["prompt"] = prompt_of(prompt) or None
        return {"task": {"title": task, **given(of_task), **({"auto_accept": True} if accept else {})}}
    if job is not None:
        return {"job": {"prompt": job, **given(of_job)}}
    return _json(file, "--starts") if file else None


def _interval(text: str) -> dict[str, str]:
    every, plus, offset = text.partition("+")
    return {"every": every, **({"offset": offset} if plus else {})}


def _json(file: Path, option: str) -> dict[str, Any]:
    try:
        found: Any = orjson.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        remedy = "Name a file with one JSON object."
        raise InvalidInput(f"{file} cannot be read: {error}", field=option, remedy=remedy) from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{file} holds no object.", field=option, remedy="Write one JSON object into it.")
    return cast("dict[str, Any]", found)
