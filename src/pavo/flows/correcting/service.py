"""What people do with a run that has failed: a step is done again, is skipped, or has an output that they set."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pavo.errors import Conflict, InvalidInput
from pavo.flows.attempts import BEGINS_WORK
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.problems import did_you_mean
from pavo.flows.definition.reference_checks import output_schema
from pavo.flows.ledger import events, histories, recording
from pavo.flows.ledger.changes import Overruled, ResultKey, Skipped
from pavo.flows.ledger.corrections import reopening
from pavo.flows.ledger.records import TEMPORAL, History, ResultRecord
from pavo.flows.progress import Progress, progress_of
from pavo.flows.runs import Hurry
from pavo.flows.scheduler import NEED_FAILED, NO_SUCCESS, RUN_FAILED, Status
from pavo.kit.json_schema import SchemaTooCostly, misfit
from pavo.kit.json_values import NotStorable, plain
from pavo.kit.sql import Database

MAX_REASON: Final = 500
"""Characters."""
_OF_A_FAILURE: Final = (NEED_FAILED, NO_SUCCESS, RUN_FAILED)
_REMEDY: Final = "See: pavo flow status ID"


@dataclass(frozen=True, slots=True)
class Correction:
    """Of one step."""

    step: str
    does: Literal["retry", "skip", "set"]
    output: Any = None
    """What is set."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants."""

    corrections: Sequence[Correction]
    reason: str
    by: str | None
    """Address; None: an operator."""
    again: bool = False
    """Steps may be done again that had begun and must not be repeated by themselves."""


class RunCorrections:
    """Of an organisation's runs.

    Args:
        hurry: see `RunService`.
    """

    def __init__(self, database: Database, hurry: Hurry | None = None) -> None:
        self._database, self._hurry = database, hurry

    async def correct(self, organisation_id: uuid.UUID, run_id: uuid.UUID, asked: Asked) -> Sequence[str]:
        """Open a run that has failed again, all in one transaction. What depends on these steps, and what was given up
        since a step had failed, is forgotten and done anew; all other results are kept.

        Returns: ids of the steps that are forgotten.

        Raises:
            NotFound: there is none of this organisation's.
            Conflict: it has not failed, has undone what it did, or would fail at once by another step.
            InvalidInput: a step is unknown, or that cannot be done with it.
        """
        if len(asked.reason) > MAX_REASON:
            raise InvalidInput("The reason is too long.", field="reason", remedy=f"Say it in {MAX_REASON} characters.")
        async with self._database.transaction() as session:
            row = await recording.locked(session, run_id)
            await histories.run_of(session, run_id, organisation_id)  # behind the lock: it may have been removed
            if row.state != "failed":
                remedy = "Only a run that has failed is opened again." + (
                    "" if row.ended_at is not None else " See when this one ends: pavo flow watch ID"
                )
                raise Conflict(f"The run is {row.state}.", field="run", remedy=remedy)
            history = await histories.history_of(session, run_id)
            progress = progress_of(history)
            forgotten = _forgotten(history, progress, asked)
            found = [_overruled(progress.definition, each, asked) for each in asked.corrections if each.does != "retry"]
            told = events.run_reopened(
                {each.step: each.does for each in asked.corrections}, len(forgotten), asked.reason, asked.by
            )
            duration = progress.definition.flow.limits.duration
            await reopening.reopen(session, row, forgotten, found, duration, told)
        if self._hurry is not None and history.run.engine == TEMPORAL and history.run.program is None:
            await self._hurry(run_id, history.run.epoch + 1, is_begun=False)
        return sorted(forgotten)


def _forgotten(history: History, progress: Progress, asked: Asked) -> set[str]:
    """Steps that count no more: those that are corrected, those that were given up, and all that come after these."""
    definition, named = progress.definition, [each.step for each in asked.corrections]
    _check_names(definition, named)
    graph, steps = definition.graph, definition.flow.steps
    given_up = {each.step for each in history.changes if isinstance(each, Skipped) and each.why in _OF_A_FAILURE}
    given_up |= {name for name in steps if progress.status(name) is Status.CANCELLED}
    begins = given_up | set(named)
    found = {name for name in steps if name in begins or graph.before[name] & begins}
    for each in asked.corrections:
        if each.does == "skip" and progress.status(each.step) is not Status.FAILED:
            raise Conflict(
                f"{each.step} has not failed.", field="step", remedy="Only a step that has failed is skipped."
            )
    left = [name for name in steps if name not in found and progress.status(name) is Status.FAILED]
    if left and definition.flow.on_failure.policy != "continue":
        told = f"The run would fail at once: {', '.join(left)[:300]} failed as well."
        raise Conflict(told, field="step", remedy="Correct these with the same request.")
    not_done = {each.step for each in asked.corrections if each.does != "retry"}
    _check_work(definition, history.results, found - not_done)
    _check_results(progress, history.results, found, not_done, again=asked.again)
    return found


def _check_names(definition: Definition, named: Sequence[str]) -> None:
    steps = definition.flow.steps
    if not named:
        raise InvalidInput("No step is named.", field="step", remedy=_REMEDY)
    for name in named:
        if name not in steps:
            remedy = did_you_mean(name[:100], steps, _REMEDY)
            raise InvalidInput(f"The flow has no step {name[:100]!r}.", field="step", remedy=remedy)
        if named.count(name) > 1:
            raise InvalidInput(f"{name} is named twice.", field="step", remedy="Say once what becomes of it.")


def _check_work(definition: Definition, results: Mapping[ResultKey, ResultRecord], redone: set[str]) -> None:
    """Work of others is known by the attempt that began it: it would be found again, as it ended."""
    for key in results:
        kind = definition.flow.steps[key.step].kind
        if key.step in redone and kind in BEGINS_WORK:
            told = f"{key.step} had work of others begun ({kind}), which is not begun a second time."
            raise Conflict(told, field="step", remedy="Set its output, or skip it.")


def _check_results(
    progress: Progress,
    results: Mapping[ResultKey, ResultRecord],
    forgotten: set[str],
    not_done: set[str],
    *,
    again: bool,
) -> None:
    for key, each in results.items():
        if key.undoes:
            raise Conflict(
                f"What {key.step} did was undone, or was to be: the run cannot go on from there.",
                field="run",
                remedy="Begin a new run.",
            )
        if key.step not in forgotten:
            if each.state == "unknown" or not progress.status(key.step).is_over:
                told = f"{key.step} was in flight when the run was given up."
                raise Conflict(told, field="step", remedy="Correct it with the same request.")
        elif not each.repeatable and not again and key.step not in not_done:
            told = f"{key.step} had begun, and must not be repeated by itself: it would be done again."
            raise Conflict(told, field="again", remedy="Look at what it did; then confirm: --again")


def _overruled(definition: Definition, each: Correction, asked: Asked) -> Overruled:
    why = f"by {asked.by or 'an operator'}" + (f": {asked.reason}" if asked.reason else "")
    if each.does == "skip":
        return Overruled(each.step, Status.SKIPPED, None, f"skipped {why}", asked.by)
    step = definition.flow.steps[each.step]
    if step.branch is not None or step.for_each is not None:
        raise InvalidInput(f"{each.step} has no output of its own.", field="step", remedy="Retry it, or skip it.")
    try:
        kept, size = plain(each.output)
        wrong = misfit(output_schema(step), kept)
    except (NotStorable, SchemaTooCostly) as error:
        raise InvalidInput(f"The output cannot be kept: {error}.", field="output") from error
    if wrong is not None or size > definition.flow.limits.output_bytes:
        told = wrong.message[:300] if wrong is not None else f"It has {size:,} bytes, which is too many."
        raise InvalidInput(told, field="output", remedy="Give what the step's `output` and the flow's limits declare.")
    return Overruled(each.step, Status.SUCCEEDED, kept, f"set {why}", asked.by)
