"""What is to be written of a run next, whoever executes it: what came of an attempt, and all that follows at once."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, cast

from pavo.flows.attempts import BEGINS_WORK, Attempted, Steps, timer_of
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.texts import decision_of, work_of
from pavo.flows.definition.written import Retry, WrittenStep
from pavo.flows.evaluation import CannotEvaluate, Evaluates, decide, filled, has_expressions
from pavo.flows.ledger.changes import (
    Again,
    Awaiting,
    Began,
    CancelTold,
    Change,
    Decided,
    Ended,
    LeftUnknown,
    ResultKey,
    Retrying,
    Skipped,
    Unknown,
)
from pavo.flows.ledger.records import ResultRecord, RunRecord
from pavo.flows.progress import Progress
from pavo.flows.scheduler import Decision, Status
from pavo.kit.json_values import NotStorable, encode, plain
from pavo.kit.texts.storable import storable
from pavo.kit.threads.calls import call_in_thread

INTERRUPTIONS: Final = 10
"""Beyond its tries, so often a step is done again after its engine was lost: it may be what ends them."""
TOO_LONG: Final = "the run took longer than the limit of its flow"
LOST_TOO_OFTEN: Final = "its engine was lost too often while it was in flight"
INTERRUPTED: Final = "its engine was lost while it was in flight: nobody knows whether it happened"
_TIMERS: Final = frozenset(("sleep", "until"))
_ASKED: Final = Retry(max=1)


OfAttempt: TypeAlias = Ended | Retrying | Unknown | Awaiting
"""What may be written of one."""


def retry_of(step: WrittenStep) -> Retry:
    """How often a step is tried."""
    return step.retry or _ASKED


def is_timer(step: WrittenStep, key: ResultKey) -> bool:
    """Whether it is nothing but a wait."""
    return not key.undoes and step.kind in _TIMERS


def outcome(definition: Definition, key: ResultKey, tried: int, attempted: Attempted) -> OfAttempt:
    """What is to be written of an attempt.

    Args:
        tried: the number of this attempt, from 1.
    """
    if attempted.awaits is not None:
        return Awaiting(key, attempted.awaits.kind, attempted.awaits.work_id)
    if attempted.unknown:
        return Unknown(key, storable(attempted.error or INTERRUPTED))
    if attempted.error is None:
        return _succeeded(definition, key, attempted.output)
    error = storable(attempted.error)
    retry = retry_of(definition.flow.steps[key.step])
    if attempted.kind in retry.only and tried < retry.max:
        pause = retry.first * retry.factor ** min(tried - 1, 60)
        return Retrying(key, min(pause, retry.longest), error)
    return Ended(key, Status.FAILED, error=error)


def _succeeded(definition: Definition, key: ResultKey, output: Any) -> Ended:
    most, size = definition.flow.limits.output_bytes, len(encode(output))
    if size <= most:
        return Ended(key, Status.SUCCEEDED, output)
    told = f"its output has {size:,} bytes, and `limits.output_bytes` is {most:,}"
    return Ended(key, Status.FAILED, error=told)


def cancel(definition: Definition, run: RunRecord, *, is_too_long: bool) -> list[Change]:
    """What is to be written of a run that is to end, and was not told so yet."""
    if run.cancel_asked:
        return [CancelTold(run.cancel_compensates)]
    return [CancelTold(definition.flow.on_failure.compensate, TOO_LONG)] if is_too_long else []


def interrupted(
    definition: Definition, results: Mapping[ResultKey, ResultRecord], epoch: int, *, may_begin: bool
) -> list[Change]:
    """What is to be written of what was in flight on an engine that was lost.

    Args:
        epoch: of the engine that goes on.
        may_begin: whether it may do anything again now.
    """
    found: list[Change] = []
    for key, result in results.items():
        if result.state != "running" or result.epoch >= epoch:
            continue
        if not result.repeatable:
            found.append(Unknown(key, INTERRUPTED))
        elif not may_begin:
            continue
        elif result.attempt >= retry_of(definition.flow.steps[key.step]).max + INTERRUPTIONS:
            found.append(Ended(key, Status.FAILED, error=LOST_TOO_OFTEN))
        else:
            found.append(Again(key))
    return found


class MayStop(Protocol):
    """Whether something that runs and should not ends at once."""

    def __call__(self, key: ResultKey, *, repeatable: bool) -> bool: ...


class Turns:
    """Of one run, as long as somebody executes it."""

    def __init__(self, steps: Steps, evaluator: Evaluates) -> None:
        self._steps, self._evaluator = steps, evaluator
        self._repeatable: dict[tuple[str, bool], bool] = {}
        """Of steps, and of what undoes them; to find out may import foreign code."""

    def read(self, results: Mapping[ResultKey, ResultRecord]) -> None:
        """What was found out before, and written."""
        self._repeatable |= {(key.step, key.undoes): each.repeatable for key, each in results.items()}

    async def following(self, progress: Progress, may_stop: MayStop) -> list[Change]:
        """All that is to be written now, in order; the progress is told of it. When the run is over, its conclusion is
        the last of it."""
        found: list[Change] = []
        while more := await self._more(progress, may_stop):
            for change in more:
                progress.told(change)
            found += more
        if progress.outcome is not None:
            found.append(await call_in_thread("result", progress.conclusion, progress.outcome, self._evaluator))
        return found

    async def _more(self, progress: Progress, may_stop: MayStop) -> list[Change]:
        if progress.skips:
            return [Skipped(step, why) for step, why in progress.skips.items()]
        if progress.begins:
            found: list[Change] = []
            for key in progress.begins:
                found += await self._beginning(progress, key)
            return found
        if progress.decides:
            return [await self._decided(progress, step) for step in progress.decides]
        if progress.leaves:
            return [LeftUnknown(key) for key in progress.leaves]
        return [
            Ended(key, Status.CANCELLED)
            for key in (ResultKey(work.step, work.item) for work in progress.cancels)
            if may_stop(key, repeatable=self._may_be_cut(progress, key))
        ]

    def _may_be_cut(self, progress: Progress, key: ResultKey) -> bool:
        kind = progress.definition.flow.steps[key.step].kind
        return kind not in BEGINS_WORK and self._repeatable.get((key.step, False), False)

    async def _beginning(self, progress: Progress, key: ResultKey) -> list[Change]:
        step = progress.definition.flow.steps[key.step]
        if not is_timer(step, key):
            return [Began(key, await self._may_repeat(step, key))]
        try:
            return [Began(key, repeatable=True, timer=timer_of(step, await self.filled(progress, key)))]
        except (CannotEvaluate, ValueError) as error:
            return [Began(key, repeatable=True), Ended(key, Status.FAILED, error=storable(str(error))[:1_000])]

    async def _may_repeat(self, step: WrittenStep, key: ResultKey) -> bool:
        place = (key.step, key.undoes)
        if place not in self._repeatable:
            ask = partial(self._steps.is_repeatable, step, undoes=key.undoes)
            self._repeatable[place] = await call_in_thread("tool", ask)
        return self._repeatable[place]

    async def _decided(self, progress: Progress, step: str) -> Decided:
        written = progress.definition.flow.steps[step]
        arguments = (written, progress.known, self._evaluator)
        asks = has_expressions(decision_of(written))
        found = await call_in_thread("decision", decide, *arguments) if asks else decide(*arguments)
        try:
            items, _ = plain(list(found.items))
        except NotStorable as error:
            return Decided(step, Decision(failed=True), error=f"its list cannot be kept: {error}")
        return Decided(step, found.decision, items, None if found.error is None else storable(found.error))

    async def filled(self, progress: Progress, key: ResultKey) -> Mapping[str, Any]:
        """What an attempt is told: the members of the step, with their expressions evaluated.

        Raises:
            CannotEvaluate: one of them gives nothing.
        """
        step = progress.definition.flow.steps[key.step]
        text: Any = work_of(step)
        if key.undoes:
            text = {"with": dict(step.compensate.values)} if step.compensate is not None else {}
        arguments = (text, progress.known, self._evaluator, progress.item(key))
        # Asking for expressions blocks, and a thread costs more than what has none.
        found = await call_in_thread("expressions", filled, *arguments) if has_expressions(text) else filled(*arguments)
        return cast("Mapping[str, Any]", found)
