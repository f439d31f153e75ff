"""The events that runs write to their timelines, in the transactions that write what they tell of. Each is made here,
of the members that `event_data` has."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pavo.flows.ledger.changes import (
    Again,
    Answer,
    Awaiting,
    Began,
    CancelTold,
    Change,
    Concluded,
    Decided,
    Ended,
    LeftUnknown,
    ResultKey,
    Retrying,
    Skipped,
    Unknown,
)
from pavo.flows.ledger.records import Parent
from pavo.timeline.domain import NewEvent

ENDED: Final = "run_ended"
"""The type of the last one."""
MAX_TOLD: Final = 1_000
"""Characters of an error or a reason: an event is copied to every viewer; the run has all of it."""
MAX_CHOSEN: Final = 50


def run_started(flow: str, version_hash: str, engine: str, *, fallback: bool, parent: Parent | None = None) -> NewEvent:
    """The run was written down."""
    told: dict[str, Any] = {"flow": flow, "hash": version_hash, "engine": engine}
    if parent is not None:
        told |= {"parent": str(parent.run_id), "parent_step": parent.step}
        told |= {} if parent.item is None else {"parent_item": parent.item}
    return NewEvent("run_started", told | ({"fallback": True} if fallback else {}))


def run_moved(engine: str, epoch: int) -> NewEvent:
    """Another engine has it."""
    return NewEvent("run_moved", {"engine": engine, "epoch": epoch})


def cancel_asked(by: str | None, *, compensate: bool) -> NewEvent:
    """Somebody cancelled it."""
    return NewEvent("cancel_asked", {"compensate": compensate} | ({"by": by} if by else {}))


def run_paused(reason: str, by: str | None) -> NewEvent:
    """Somebody paused it."""
    return NewEvent("run_paused", {**_told("reason", reason), **({"by": by} if by else {})})


def run_resumed(by: str | None) -> NewEvent:
    """Somebody had it go on."""
    return NewEvent("run_resumed", {"by": by} if by else {})


def step_answered(key: ResultKey, said: Answer) -> NewEvent:
    """Somebody said what became of a step."""
    return NewEvent("step_answered", {**_of(key), "said": said})


def run_reopened(steps: Mapping[str, str], forgotten: int, reason: str, by: str | None) -> NewEvent:
    """Somebody had a run that had failed go on."""
    shown = dict(list(steps.items())[:MAX_CHOSEN])
    told: dict[str, Any] = {"steps": shown, "forgotten": forgotten, **_told("reason", reason)}
    return NewEvent("run_reopened", told | ({"by": by} if by else {}))


def run_ended(outcome: str, error: str | None) -> NewEvent:
    """It is over."""
    return NewEvent(ENDED, {"outcome": outcome, **_told("error", error)})


def deleted() -> NewEvent:
    """The run is gone; nothing follows."""
    return NewEvent("deleted")


def of_changes(changes: Sequence[Change]) -> list[NewEvent]:
    """What is told of changes, in their order."""
    found = [_of_change(change) for change in changes]
    return [each for each in found if each is not None]


def _of_change(change: Change) -> NewEvent | None:
    match change:
        case Skipped(step, why):
            return NewEvent("step_skipped", {"step": step, "why": why[:MAX_TOLD]})
        case Decided():
            return _decided(change)
        case CancelTold(compensate, why):
            return NewEvent("run_cancelling", {"compensate": compensate, **_told("why", why)})
        case Concluded(outcome, _, error):
            return run_ended(str(outcome), error)
        case _:
            return _of_work(change)


def _of_work(change: Began | Again | Awaiting | Retrying | Unknown | LeftUnknown | Ended) -> NewEvent:
    about = _of(change.key)
    match change:
        case Began():
            return NewEvent("step_started", about)
        case Again():
            return NewEvent("step_started", {**about, "again": True})
        case Awaiting(_, kind, work_id):
            return NewEvent("step_waits", {**about, kind: str(work_id)})
        case Retrying(_, after, error):
            told = {"after_seconds": after.total_seconds(), "error": error[:MAX_TOLD]}
            return NewEvent("step_retrying", {**about, **told})
        case Unknown(_, error):
            return NewEvent("step_unknown", {**about, "error": error[:MAX_TOLD]})
        case LeftUnknown():
            return NewEvent("step_ended", {**about, "status": "unknown"})
        case Ended(_, status, _, error):
            return NewEvent("step_ended", {**about, "status": str(status), **_told("error", error)})


def _decided(change: Decided) -> NewEvent | None:
    """Nothing is told of a step that has no condition, no branch and no list."""
    decision, told = change.decision, dict[str, Any]()
    if not decision.condition:
        told["condition"] = False
    if decision.chosen is not None:
        told["chosen"] = list(decision.chosen)[:MAX_CHOSEN]
    if decision.items is not None:
        told["items"] = decision.items
    told |= _told("error", change.error)
    return NewEvent("step_decided", {"step": change.step, **told}) if told else None


def _of(key: ResultKey) -> dict[str, Any]:
    item = {} if key.item is None else {"item": key.item}
    return {"step": key.step, **item, **({"undoes": True} if key.undoes else {})}


def _told(name: str, text: str | None) -> dict[str, Any]:
    return {name: text[:MAX_TOLD]} if text else {}
