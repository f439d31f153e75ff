"""Holds events and frames of streams against what the API's description says of them; no member may be undescribed."""

import json
from collections.abc import Sequence
from typing import Any

import jsonschema
import psycopg
from jsonschema.protocols import Validator

from pavo.tasks.endpoints import STREAM
from pavo.tasks.wire.event_schemas import TaskEvent

_SCHEMA: dict[str, Any] = TaskEvent.model_json_schema()
_SCHEMA_OF: dict[str, str] = _SCHEMA["$defs"]["PavoEvent"]["discriminator"]["mapping"]
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


def _validator(ref: str) -> Validator:
    schema = {"$defs": _closed(_SCHEMA["$defs"]), "$ref": ref}
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


_VALIDATORS = {name: _validator(ref) for name, ref in _SCHEMA_OF.items()}
_AGENTS = _validator("#/$defs/AgentEvent")
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
    """The same, of all events of tasks that a database has; how many those are."""
    query = (
        "SELECT seq, type, at, data FROM events JOIN tasks ON tasks.id = events.timeline_id ORDER BY timeline_id, seq"
    )
    with psycopg.connect(url) as connection:
        rows = connection.execute(query).fetchall()
    for seq, kind, at, data in rows:
        check({"seq": seq, "type": kind, "at": at.isoformat(), **data})
    return len(rows)
