"""Holds events and frames of streams against what the API's description says of them; no member may be undescribed."""

import json
from collections.abc import Sequence
from typing import Any

import jsonschema
import psycopg
from jsonschema.protocols import Validator

from pavo.flows.requests.event_schemas import FlowRunEvent
from pavo.jobs.requests.event_schemas import JobEvent
from pavo.tasks.endpoints import STREAM
from pavo.tasks.wire.event_schemas import TaskEvent

_TASKS: dict[str, Any] = TaskEvent.model_json_schema()["$defs"]
_JOBS: dict[str, Any] = JobEvent.model_json_schema()["$defs"]
_RUNS: dict[str, Any] = FlowRunEvent.model_json_schema()["$defs"]
_AS_EVER = ("tick", "progress")
"""Types of which there are very many: one of each shape is looked at."""
_seen = set[tuple[Any, ...]]()


def _closed(schema: Any) -> Any:
    """The schema, taking no member that it does not name."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _closed(each) for name, each in schema.items()}
    return (
        found | {"additionalProperties": False}
        if "properties" in found and "additionalProperties" not in found
        else found
    )


def _validator(defined: dict[str, Any], ref: str) -> Validator:
    schema = {"$defs": _closed(defined), "$ref": ref}
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def _validators(defined: dict[str, Any], known: str) -> dict[str, Validator]:
    return {name: _validator(defined, ref) for name, ref in defined[known]["discriminator"]["mapping"].items()}


_VALIDATORS = _validators(_TASKS, "PavoEvent")
_OF_JOBS = _validators(_JOBS, "KnownJobEvent")
_OF_RUNS = _validators(_RUNS, "KnownFlowRunEvent")
_AGENTS = _validator(_TASKS, "#/$defs/AgentEvent")
_FRAME = jsonschema.Draft202012Validator(
    _closed(STREAM[200]["content"]["text/event-stream"]["schema"]["contentSchema"]["items"])
)


def check(event: dict[str, Any]) -> None:
    """That an event, as the API shows it, is what the description says."""
    if event["type"] in _AS_EVER:
        shape = (event["type"], *sorted((name, type(value).__name__) for name, value in event.items()))
        if shape in _seen:
            return
        _seen.add(shape)
    wrong = [error.message for error in _VALIDATORS.get(event["type"], _AGENTS).iter_errors(event)]
    assert not wrong, f"{event} is not as it is described: {wrong}"


def check_job(event: dict[str, Any]) -> None:
    """The same of a job's event, whose type must be one that is described."""
    _check_described(event, _OF_JOBS)


def check_run(event: dict[str, Any]) -> None:
    """The same of an event of a run of a flow."""
    _check_described(event, _OF_RUNS)


def _check_described(event: dict[str, Any], validators: dict[str, Validator]) -> None:
    assert event["type"] in validators, f"{event} is described nowhere"
    wrong = [error.message for error in validators[event["type"]].iter_errors(event)]
    assert not wrong, f"{event} is not as it is described: {wrong}"


def framed(lines: Sequence[str]) -> tuple[int, dict[str, Any]] | None:
    """The number and the event of one frame, None of a comment; each is what the description says."""
    frame = {name or "comment": text for name, _, text in (line.partition(": ") for line in lines)}
    wrong = [error.message for error in _FRAME.iter_errors(frame)]
    assert not wrong, f"{lines} is not as it is described: {wrong}"
    if "comment" in frame:
        return None
    event = json.loads(frame["data"])
    assert int(frame["id"]) == event["seq"]
    check(event)
    return event["seq"], event


def check_all(url: str) -> int:
    """The same, of all events of tasks, of jobs and of runs of flows that a database has; how many those are."""
    query = """
        SELECT CASE WHEN t.id IS NOT NULL THEN 'task' WHEN j.id IS NOT NULL THEN 'job' ELSE 'run' END,
            e.seq, e.type, e.at, e.data
        FROM events e LEFT JOIN tasks t ON t.id = e.timeline_id LEFT JOIN jobs j ON j.id = e.timeline_id
        LEFT JOIN flow_runs r ON r.id = e.timeline_id
        WHERE t.id IS NOT NULL OR j.id IS NOT NULL OR r.id IS NOT NULL ORDER BY e.timeline_id, e.seq
    """
    checks = {"task": check, "job": check_job, "run": check_run}
    with psycopg.connect(url) as connection:
        rows = connection.execute(query).fetchall()
    for subject, seq, kind, at, data in rows:
        checks[subject]({"seq": seq, "type": kind, "at": at.isoformat(), **data})
    return len(rows)
