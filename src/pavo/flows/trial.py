"""A flow that is tried with fakes: nothing outside is called, and what each step is given is seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from pavo.flows.definition.definition import Definition
from pavo.flows.definition.fitting import unfit
from pavo.flows.definition.reference_checks import output_schema
from pavo.flows.definition.texts import work_of
from pavo.flows.definition.written import WrittenStep
from pavo.flows.evaluation import CannotEvaluate, Evaluates, Known, decide, filled, item_values
from pavo.flows.scheduler import Decision, Moves, Scheduler, Status, Work

STARTED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
"""Of every trial, so that each says the same."""
_SILENT: Final = frozenset(("sleep", "until"))
"""Kinds that give nothing, and need no fake."""


@dataclass(frozen=True, slots=True)
class Fake:
    """What a step, or an item of one, gives in the place of what it does."""

    output: Any = None
    error: str | None = None
    """It fails with this."""
    items: "Sequence[Fake]" = ()
    """For a step that is done for each item: by index; the last one for all that follow."""

    def of(self, item: int | None) -> "Fake":
        """For one item."""
        if item is None or not self.items:
            return self
        return self.items[min(item, len(self.items) - 1)]


def _unfaked(step: WrittenStep) -> Fake:
    """What a step without a fake gives."""
    if step.gate is None:
        return Fake()
    return Fake({name: schema["default"] for name, schema in step.gate.form.items() if "default" in schema})


@dataclass(frozen=True, slots=True)
class Call:
    """Something that a step would have done."""

    step: str
    kind: str
    given: Mapping[str, Any]
    item: int | None = None
    undoes: bool = False


@dataclass(slots=True)
class Tried:
    """What came of a trial."""

    outcome: Status
    known: Known
    result: Any = None
    error: str | None = None
    """Why there is no result."""
    calls: list[Call] = field(default_factory=list[Call])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    """Why steps were skipped or have failed."""


class Trial:
    """One run with fakes.

    Args:
        fakes: by step; of those that have none each kind gives null, and gates what their forms' defaults say.
    """

    def __init__(self, definition: Definition, evaluator: Evaluates, fakes: Mapping[str, Fake]) -> None:
        self._definition, self._evaluator, self._fakes = definition, evaluator, fakes
        self._scheduler = Scheduler(definition)
        self._items: dict[str, Sequence[Any]] = {}

    def run(self, inputs: Mapping[str, Any]) -> Tried:
        """Run it to its end. Steps that could run at once take turns, in the order in which they were ready."""
        definition, scheduler = self._definition, self._scheduler
        run = {"id": "trial", "flow": definition.flow.flow, "started_at": STARTED_AT}
        tried = Tried(Status.RUNNING, Known.at_the_beginning(definition, inputs, run))
        while (moves := scheduler.moves()).outcome is None:
            self._follow(tried, moves)
        tried.outcome = moves.outcome
        self._conclude(tried)
        return tried

    def _follow(self, tried: Tried, moves: Moves) -> None:
        for step, why in moves.skip:
            self._scheduler.skipped(step)
            self._show(tried, step, Status.SKIPPED, error=why)
        for step in moves.decide:
            self._decide(tried, step)
        for work in moves.begin:
            self._scheduler.began(work)
        for work in moves.cancel:
            self._end(tried, work, Status.CANCELLED, None, None)
        if self._scheduler.running and not moves.skip:
            self._do(tried, self._scheduler.running[0])
        if moves.compensate is not None:
            self._undo(tried, moves.compensate)

    def _decide(self, tried: Tried, step: str) -> None:
        found = decide(self._definition.flow.steps[step], tried.known, self._evaluator)
        self._items[step] = found.items
        decision: Decision = found.decision
        self._scheduler.decided(step, decision)
        status = self._scheduler.status(step)
        if status is Status.SKIPPED:
            self._show(tried, step, status, error="its condition does not hold")
        elif status.is_over:
            chosen = list(decision.chosen) if decision.chosen is not None else None
            empty = list[Any]() if decision.items == 0 else None
            self._show(tried, step, status, chosen if chosen is not None else empty, found.error)
            if empty is not None:
                tried.known.steps[step]["items"] = []

    def _do(self, tried: Tried, work: Work) -> None:
        step = self._definition.flow.steps[work.step]
        item = self._item(step, work)
        try:
            given = cast("dict[str, Any]", filled(work_of(step), tried.known, self._evaluator, item))
        except CannotEvaluate as error:
            self._end(tried, work, Status.FAILED, None, str(error))
            return
        tried.calls.append(Call(work.step, step.kind, {n: v for n, v in given.items() if v is not None}, work.item))
        fake = self._fakes.get(work.step, _unfaked(step)).of(work.item)
        wrong = fake.error or self._misfit(step, work, fake)
        self._end(tried, work, Status.FAILED if wrong else Status.SUCCEEDED, None if wrong else fake.output, wrong)

    def _misfit(self, step: WrittenStep, work: Work, fake: Fake) -> str | None:
        if step.kind in _SILENT or (work.step not in self._fakes and step.output is None):
            return None
        wrong = unfit(output_schema(step), fake.output)
        return None if wrong is None else f"its output is not as declared: {wrong}"

    def _item(self, step: WrittenStep, work: Work) -> Mapping[str, Any] | None:
        if work.item is None:
            return None
        return item_values(step, work.item, self._items[work.step][work.item])

    def _end(self, tried: Tried, work: Work, status: Status, output: Any, error: str | None) -> None:
        if work.item is not None:
            shown = tried.known.steps[work.step].setdefault("items", [])
            shown.append({"index": work.item, "status": str(status), "output": output, "error": error})
        self._scheduler.ended(work, status)
        over = self._scheduler.status(work.step)
        if work.item is None:
            self._show(tried, work.step, over, output, error)
        elif over.is_over:
            items = sorted(tried.known.steps[work.step]["items"], key=lambda each: each["index"])
            tried.known.steps[work.step]["items"] = [{n: v for n, v in each.items() if n != "index"} for each in items]
            first = next((each["error"] for each in items if each["error"]), None)
            outputs = [each["output"] for each in items]
            failed = over is Status.FAILED
            self._show(tried, work.step, over, None if failed else outputs, first if failed else None)

    def _show(self, tried: Tried, step: str, status: Status, output: Any = None, error: str | None = None) -> None:
        tried.known.steps[step].update(status=str(status), output=output, error=error)
        if error is not None:
            tried.reasons[step] = error

    def _undo(self, tried: Tried, work: Work) -> None:
        step = self._definition.flow.steps[work.step]
        assert step.compensate is not None
        try:
            given = filled(dict(step.compensate.values), tried.known, self._evaluator, self._item(step, work))
            tried.calls.append(Call(work.step, step.compensate.tool, given, work.item, undoes=True))
        except CannotEvaluate as error:
            tried.reasons[f"{work.step}.compensate"] = str(error)
        self._scheduler.compensated(work)

    def _conclude(self, tried: Tried) -> None:
        flow = self._definition.flow
        for name in flow.steps:
            status = self._scheduler.status(name)
            if tried.known.steps[name]["status"] != status:
                self._show(tried, name, status)
        if tried.outcome is not Status.SUCCEEDED or flow.result is None:
            return
        try:
            tried.result = filled(flow.result, tried.known, self._evaluator)
        except CannotEvaluate as error:
            tried.outcome, tried.error = Status.FAILED, str(error)
            return
        if flow.output is not None and (wrong := unfit(flow.output, tried.result)) is not None:
            tried.outcome, tried.error = Status.FAILED, f"the result is not as declared: {wrong}"
