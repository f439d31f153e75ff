"""Where a run is: its scheduler and what its expressions know, from all that was written of it.

It is told each change once it is to be written, or when it is read; by the same changes it comes to the same place on
whichever engine. What a change leads to at once (skips, beginnings) is asked for before anything else, and is written
in the same transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.evaluation import CannotEvaluate, Evaluates, Known, filled, item_values
from pavo.flows.ledger.changes import (
    Began,
    CancelTold,
    Change,
    Concluded,
    Decided,
    Ended,
    LeftUnknown,
    Overruled,
    ResultKey,
    Skipped,
    Unknown,
)
from pavo.flows.ledger.records import History, RunRecord
from pavo.flows.scheduler import CONDITION, Scheduler, Status, Work
from pavo.kit.clock import iso
from pavo.kit.json_schema import SchemaTooCostly, misfit
from pavo.kit.json_values import NotStorable, plain
from pavo.kit.texts.storable import storable


def progress_of(history: History, definition: Definition | None = None) -> "Progress":
    """Where a run is, by what was written of it.

    Args:
        definition: of the version that it executes, where that was read before.
    """
    if definition is None:  # it was checked when it was kept
        definition = definition_of(history.definition, lambda sources: [None] * len(sources))
    found = progress_at_beginning(history.run, definition)
    for change in history.changes:
        found.told(change)
    found.asks(key for key, result in history.results.items() if result.is_asked)
    return found


def progress_at_beginning(run: RunRecord, definition: Definition) -> "Progress":
    """Of a run of which nothing is written yet."""
    about = {"id": str(run.id), "flow": run.flow, "started_at": iso(run.created_at)}
    return Progress(definition, run.inputs, about)


class Progress:
    """Of one run.

    Args:
        run: what expressions know of it: id, flow, started_at.
    """

    def __init__(self, definition: Definition, inputs: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        self._definition = definition
        self._scheduler = Scheduler(definition)
        self._items: dict[str, Sequence[Any]] = {}
        self._undoing: set[ResultKey] = set()
        self._asked: dict[ResultKey, None] = {}
        self._cancelled: CancelTold | None = None
        self.known = Known.at_the_beginning(definition, inputs, run)
        self.skips: dict[str, str] = {}
        """Steps that do not happen, and why; to be written now."""
        self.begins: dict[ResultKey, None] = {}
        """What begins; to be written now."""
        self.decides: dict[str, None] = {}
        """Steps whose expressions are to be evaluated."""
        self.cancels: Sequence[Work] = ()
        """What runs and should not."""
        self.outcome: Status | None = None
        self._look_on()

    @property
    def definition(self) -> Definition:
        """What it executes."""
        return self._definition

    def status(self, step: str) -> Status:
        """Of a step."""
        return self._scheduler.status(step)

    def item(self, key: ResultKey) -> Mapping[str, Any] | None:
        """What the expressions of a step know of an item."""
        if key.item is None:
            return None
        return item_values(self._definition.flow.steps[key.step], key.item, self._items[key.step][key.item])

    def told(self, change: Change | Overruled) -> None:
        """It has happened."""
        self._put_back(change)
        match change:
            case Skipped(step, why):
                self.skips.pop(step, None)
                self._scheduler.skipped(step)
                self._show(step, Status.SKIPPED, error=why)
            case Decided() | Overruled():
                self._judged(change)
            case CancelTold(compensate):
                self._cancelled = change
                self._scheduler.cancel(compensate=compensate)
            case Unknown(key):
                self._asked[key] = None
            case LeftUnknown(key):
                self._ended(Ended(key, Status.CANCELLED))
            case Began(key):
                self._began(key)
            case Ended():
                self._ended(change)
            case _:  # it goes on
                pass
        self._look_on()

    def asks(self, keys: Iterable[ResultKey]) -> None:
        """Of these, and of no others, people are asked what became of them; it is not part of what is read in order."""
        self._asked = dict.fromkeys(keys)
        self._look_on()

    @property
    def leaves(self) -> Sequence[ResultKey]:
        """What people need not say any more: the run is cancelled, and nothing of it is to be undone."""
        cancelled = self._cancelled
        if cancelled is None:
            return ()
        steps = self._definition.flow.steps
        undone = {key for key in self._asked if cancelled.compensate and steps[key.step].compensate is not None}
        return [key for key in self._asked if not key.undoes and key not in undone]

    def conclusion(self, outcome: Status, evaluator: Evaluates) -> Concluded:
        """What the run gives, now that all is over."""
        flow = self._definition.flow
        self._show_rest()
        if outcome is not Status.SUCCEEDED or flow.result is None:
            return Concluded(outcome, error=self._why(outcome))
        try:
            result, _ = plain(filled(flow.result, self.known, evaluator))
            wrong = misfit(flow.output, result) if flow.output is not None else None
        except (CannotEvaluate, NotStorable, SchemaTooCostly) as error:
            return Concluded(Status.FAILED, error=storable(str(error)))
        if wrong is not None:
            return Concluded(Status.FAILED, error=f"the result is not as declared: {wrong.message[:300]}")
        return Concluded(outcome, result)

    def _put_back(self, change: Change | Overruled) -> None:
        """What was to begin, or to be skipped, was not: its engine was handing the run over, or was lost."""
        if isinstance(change, Began | Skipped):
            return
        self._scheduler.put_back(list(self.skips), [each.work for each in self.begins if not each.undoes])
        self.skips, self.begins = {}, {}

    def _look_on(self) -> None:
        """What follows. While something is to be written at once nothing else does: so it is the same later, when what
        was written is read."""
        if self.skips or self.begins:
            return
        moves = self._scheduler.moves()
        self.skips = dict(moves.skip)
        self.decides |= dict.fromkeys(moves.decide)
        self.begins = {ResultKey(each.step, each.item): None for each in moves.begin}
        self.cancels = moves.cancel
        self.outcome = moves.outcome
        if moves.compensate is not None:
            key = ResultKey(moves.compensate.step, moves.compensate.item, undoes=True)
            if key not in self._undoing:
                self.begins[key] = None

    def _judged(self, change: Decided | Overruled) -> None:
        self.decides.pop(change.step, None)
        if isinstance(change, Decided):
            self._decided(change)
            return
        self._scheduler.overruled(change.step, change.status)
        self._show(change.step, change.status, change.output, change.why if change.status is Status.SKIPPED else None)

    def _decided(self, change: Decided) -> None:
        self._items[change.step] = change.items
        self._scheduler.decided(change.step, change.decision)
        status = self._scheduler.status(change.step)
        if status is Status.SKIPPED:
            self._show(change.step, status, error=CONDITION)
        elif status.is_over:
            chosen = change.decision.chosen
            output: list[Any] | None = list(chosen) if chosen is not None else [] if self._is_empty(change) else None
            self._show(change.step, status, output, change.error)
            if self._is_empty(change):
                self.known.steps[change.step]["items"] = []

    @staticmethod
    def _is_empty(change: Decided) -> bool:
        return change.decision.items == 0

    def _began(self, key: ResultKey) -> None:
        self.begins.pop(key, None)
        if key.undoes:
            self._undoing.add(key)
        else:
            self._scheduler.began(key.work)

    def _ended(self, change: Ended) -> None:
        key = change.key
        self._asked.pop(key, None)
        if key.undoes:
            self._scheduler.compensated(key.work)
            return
        if key.item is not None:
            shown = self.known.steps[key.step].setdefault("items", [])
            told = {"status": str(change.status), "output": change.output, "error": change.error}
            shown.append({"index": key.item, **told})
        self._scheduler.ended(key.work, change.status)
        over = self._scheduler.status(key.step)
        if key.item is None:
            self._show(key.step, over, change.output, change.error)
        elif over.is_over:
            self._show_items(key.step, over)

    def _show_items(self, step: str, over: Status) -> None:
        items = sorted(self.known.steps[step]["items"], key=lambda each: each["index"])
        self.known.steps[step]["items"] = [{n: v for n, v in each.items() if n != "index"} for each in items]
        failed = over is not Status.SUCCEEDED
        first = next((each["error"] for each in items if each["error"]), None)
        self._show(step, over, None if failed else [each["output"] for each in items], first if failed else None)

    def _show(self, step: str, status: Status, output: Any = None, error: str | None = None) -> None:
        self.known.steps[step].update(status=str(status), output=output, error=error)

    def _show_rest(self) -> None:
        """Steps that were given up have had no change of their own."""
        for name in self._definition.flow.steps:
            status = self._scheduler.status(name)
            if self.known.steps[name]["status"] != status:
                self._show(name, status)

    def _why(self, outcome: Status) -> str | None:
        """What kept it from succeeding: of the first step that failed, in the order of the flow."""
        if outcome is not Status.FAILED:
            return None if self._cancelled is None else self._cancelled.why or None
        for name in self._definition.graph.order:
            shown = self.known.steps[name]
            if shown["status"] == Status.FAILED:
                return f"step {name}: {shown['error'] or 'it failed'}"
        return None
