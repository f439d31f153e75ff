"""Flows as steps of others: a run of a published version, which whoever executes its parent begins once."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from pavo.errors import Conflict, NotFound
from pavo.flows.attempts import Given
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.definition.written import WrittenStep
from pavo.flows.driving import Publish, unheard
from pavo.flows.ledger import catalogue, due, histories, holding
from pavo.flows.ledger.records import OVER, TEMPORAL
from pavo.flows.ledger.works import children
from pavo.flows.runs import Hurry, checked_inputs
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread
from pavo.works.work import Outcome

RUN: Final = "run"
"""Kind of the work that a step of the kind `flow` is."""


class ChildRuns:
    """They are of the organisation of the run that begins them, and whoever began that is behind them.

    Args:
        hurry: starts the workflow of a run at once; without it the workers' watch does.
        publish: tells viewers what was committed.
    """

    def __init__(self, database: Database, hurry: Hurry | None = None, publish: Publish = unheard) -> None:
        self._database, self._hurry, self._publish = database, hurry, publish

    async def begin(self, step: WrittenStep, given: Given) -> uuid.UUID:
        """Begin the run that a step is; begun again it is the same run.

        Raises:
            NotFound: there is no such version.
            InvalidInput: the inputs are not as the flow declares.
            Conflict: as `ledger.children.begin_child`.
            Unavailable: PostgreSQL is away.
        """
        name, _, number = (step.flow or "").partition("@")
        async with self._database.reading() as session:
            _, text = await catalogue.version(session, given.organisation_id, name, int(number))
        definition = await call_in_thread("flow-read", _definition, text)
        if definition.undone:
            told = f"No engine of this build does these steps of {step.flow}: {', '.join(definition.undone)[:500]}."
            raise Conflict(told, field="flow", remedy="Name another version.")
        inputs = checked_inputs(definition, given.values["with"])
        async with self._database.transaction() as session:
            run, told = await children.begin_child(session, given.run_id, given.key, given.attempt, definition, inputs)
        self._publish(told)
        if self._hurry is not None and run.engine == TEMPORAL:
            await self._hurry(run.id, run.epoch, is_begun=run.holder is not None)
        return run.id

    async def stages(self, run_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """In which states they are; those that are gone are left out."""
        async with self._database.reading() as session:
            return await due.states(session, run_ids)

    def is_over(self, stage: str) -> bool:
        """Whether nothing of it goes on."""
        return stage in OVER

    async def outcome(self, organisation_id: uuid.UUID, run_id: uuid.UUID) -> Outcome:
        """What it gave, or why it gave nothing.

        Raises:
            NotFound: it is gone.
        """
        async with self._database.reading() as session:
            run = await histories.run_of(session, run_id, organisation_id)
        return Outcome(run.state, run.result, None if run.state == "succeeded" else run.error or "it has no result")

    async def cancel(self, organisation_id: uuid.UUID, run_id: uuid.UUID, *, compensate: bool) -> None:
        """Have it end; one that is over or gone stays so."""
        with suppress(Conflict, NotFound):
            async with self._database.transaction() as session:
                run = await histories.run_of(session, run_id, organisation_id)
                await holding.ask_cancel(session, run_id, compensate=compensate)
            if self._hurry is not None and run.engine == TEMPORAL:
                await self._hurry(run.id, run.epoch, is_begun=run.holder is not None)


def _definition(text: str) -> Definition:
    return definition_of(text, lambda sources: [None] * len(sources))
