"""The tree of a run's steps: each behind what it needs, then its items; at the end what was undone."""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pavo.flows.ledger.changes import ResultKey, Skipped
from pavo.flows.ledger.records import History, ResultRecord
from pavo.flows.progress import Progress, progress_of
from pavo.flows.scheduler import Status
from pavo.kit.json_values import encode

MAX_ITEMS: Final = 100
"""Of a step that are shown where not all are wanted: those that have not succeeded first."""
MAX_OUTPUT_BYTES: Final = 1_000_000
"""Of all outputs that are shown, likewise."""


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step, an item of one, or what undoes it."""

    step: str
    kind: str
    """tool, agent, sleep, …"""
    state: str
    """waiting, running, timer, retrying, unknown (people are asked), succeeded, failed, skipped or cancelled."""
    item: int | None = None
    """Number in its list; None: the step as a whole."""
    undoes: bool = False
    attempt: int | None = None
    """None: it has not begun."""
    output: Any = None
    output_left_out: bool = False
    """Whether it has one that is too long to be shown among the others."""
    error: str | None = None
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    due_seconds: float | None = None
    """Until its timer or its next attempt."""
    items: Mapping[str, int] | None = None
    """Of a step that is done for each of a list: how many items are in which state."""
    work_kind: str | None = None
    """Of what it has others do: task, job, run, gate."""
    work_id: uuid.UUID | None = None


def steps_of(history: History) -> list[ShownStep]:
    """All of them. It may take long: call it on a thread of its own."""
    progress = progress_of(history)
    skipped = {each.step: each.why for each in history.changes if isinstance(each, Skipped)}
    keys = sorted(history.results, key=_place)
    of_step: dict[str, list[ResultKey]] = {}
    for key in keys:
        if not key.undoes:
            of_step.setdefault(key.step, []).append(key)
    found: list[ShownStep] = []
    for name in progress.definition.graph.order:
        begun = of_step.get(name, [])
        if ResultKey(name) not in history.results:
            found.append(_whole(progress, name, skipped.get(name), [history.results[each] for each in begun]))
        found += [_result(progress, history.results[key]) for key in begun]
    return found + [_result(progress, history.results[key]) for key in keys if key.undoes]


def bounded(steps: Sequence[ShownStep]) -> tuple[list[ShownStep], bool]:
    """So much of them as one answer may hold, in the same order; and whether that is all."""
    shown = [*_fewer_items(steps)]
    found, left, whole = list[ShownStep](), MAX_OUTPUT_BYTES, len(shown) == len(steps)
    for each in shown:
        size = 0 if each.output is None else len(encode(each.output))
        if size > left:
            each, whole = replace(each, output=None, output_left_out=True), False
        else:
            left -= size
        found.append(each)
    return found, whole


def _fewer_items(steps: Sequence[ShownStep]) -> Iterator[ShownStep]:
    places: dict[tuple[str, bool], list[tuple[bool, int]]] = {}
    for place, each in enumerate(steps):
        if each.item is not None:
            places.setdefault((each.step, each.undoes), []).append((each.state == "succeeded", place))
    wanted = {place for of_step in places.values() for _, place in sorted(of_step)[:MAX_ITEMS]}
    return (each for place, each in enumerate(steps) if each.item is None or place in wanted)


def _whole(progress: Progress, name: str, why: str | None, items: Sequence[ResultRecord]) -> ShownStep:
    """A step that has no result of its own: it has not begun, or has items. Their outputs are shown with them."""
    known, step = progress.known.steps[name], progress.definition.flow.steps[name]
    counts = None if step.for_each is None else dict(Counter(each.state for each in items))
    output = None if items else known["output"]
    ends = [each.ended_at for each in items]
    status = progress.status(name)
    over = status.is_over
    return ShownStep(
        name,
        step.kind,
        str(status) if over or status is Status.RUNNING else "waiting",
        output=output,
        error=why or known["error"],
        begun_at=min((each.begun_at for each in items), default=None),
        ended_at=max((each for each in ends if each is not None), default=None) if over else None,
        items=counts,
    )


def _result(progress: Progress, found: ResultRecord) -> ShownStep:
    key = found.key
    return ShownStep(
        key.step,
        progress.definition.flow.steps[key.step].kind,
        found.state,
        key.item,
        key.undoes,
        found.attempt,
        found.output,
        error=found.error,
        begun_at=found.begun_at,
        ended_at=found.ended_at,
        due_seconds=found.due_seconds,
        work_kind=found.work_kind,
        work_id=found.work_id,
    )


def _place(key: ResultKey) -> tuple[bool, str, int]:
    return key.undoes, key.step, -1 if key.item is None else key.item
