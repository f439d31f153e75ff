"""Runs of flows as a program begins and reads them."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from pavo.accounts.domain import Identity
from pavo.errors import Conflict, InvalidInput
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.problems import did_you_mean
from pavo.flows.definition.reference_checks import output_schema
from pavo.flows.ledger import due, histories, holding, recording, versions
from pavo.flows.ledger.changes import Answer, ResultKey
from pavo.flows.ledger.records import LOCAL, OVER, TEMPORAL, History, RunRecord
from pavo.flows.ledger.removals import removal, removing
from pavo.flows.progress import progress_of
from pavo.kit.ids import new_id
from pavo.kit.json_schema import SchemaTooCostly, misfit
from pavo.kit.json_values import NotStorable, plain
from pavo.kit.sql import Database
from pavo.runs import idempotency
from pavo.runs.idempotency import KeyedRequest


def checked_inputs(definition: Definition, inputs: Mapping[str, Any], later: Collection[str] = ()) -> Mapping[str, Any]:
    """Inputs as they are kept, without those that have their defaults.

    Args:
        later: names of those whose values are not known yet, and are not looked at.

    Raises:
        InvalidInput: one is missing, unknown or not as declared.
    """
    declared = definition.flow.inputs
    for name in inputs:
        if name not in declared:
            remedy = did_you_mean(name, declared, f"It has {', '.join(declared) or 'none'}.")
            raise InvalidInput(f"The flow has no input {name!r}.", field=f"inputs.{name}"[:200], remedy=remedy)
    for name, schema in declared.items():
        if name not in inputs and "default" not in schema:
            raise InvalidInput(f"{name} is missing.", field=f"inputs.{name}", remedy=f"Give it: --input {name}=…")
        if name in inputs and name not in later:
            _check(name, schema, inputs[name])
    try:
        return plain(dict(inputs))[0]
    except NotStorable as error:
        raise InvalidInput(f"inputs: {error}.", field="inputs", remedy=error.remedy) from error


def _check(name: str, schema: Mapping[str, Any], value: Any) -> None:
    try:
        wrong = misfit(schema, value)
    except SchemaTooCostly as error:
        raise InvalidInput(f"{name} cannot be checked: {error}.", field=f"inputs.{name}") from error
    if wrong is not None:
        remedy = "Give what the flow declares; see: pavo flow show FILE"
        raise InvalidInput(f"{name}: {wrong.message[:300]}", field=f"inputs.{name}", remedy=remedy)


class Hurry(Protocol):
    """Never raises for what is away."""

    async def __call__(self, run_id: uuid.UUID, epoch: int, *, is_begun: bool) -> None: ...


class RunService:
    """Of an organisation's runs.

    Args:
        hurry: tells the workflow of a run, or starts it, at once; without it the workers' watch does.
        program: that alone executes the runs that are begun here; None: the workers do.
    """

    def __init__(self, database: Database, hurry: Hurry | None = None, program: str | None = None) -> None:
        self._database, self._hurry, self._program = database, hurry, program

    async def _tell(self, run: RunRecord) -> None:
        is_begun = run.holder is not None
        if self._hurry is not None and run.engine == TEMPORAL and (is_begun or run.program == self._program):
            await self._hurry(run.id, run.epoch, is_begun=is_begun)

    async def begin(
        self,
        organisation_id: uuid.UUID,
        definition: Definition,
        inputs: Mapping[str, Any],
        engine: str = LOCAL,
        *,
        who: Identity | None = None,
        request: KeyedRequest | None = None,
        run_id: uuid.UUID | None = None,
        fallback: bool = False,
    ) -> uuid.UUID:
        """Write a run down; an engine begins it.

        Args:
            request: what its Idempotency-Key stands for.
            run_id: its id; done twice with one, it is one run. Default: a new one.
            fallback: it goes to Temporal once that answers.

        Raises:
            InvalidInput: the inputs are not as the flow declares.
            Conflict: the version is deprecated, or the id is another run's.
            Repeated: the key has begun a run before.
            IdempotencyMismatch: the key belongs to another request.
        """
        given, by = checked_inputs(definition, inputs), None if who is None else who.user_id
        run_id = run_id or new_id()
        async with self._database.transaction() as session:
            if who is not None and request is not None:
                await idempotency.claim(session, who, request, run_id)
            whose = (session, run_id, organisation_id)
            await versions.begin_run(*whose, definition, given, engine, by, fallback=fallback, program=self._program)
            run = await histories.run_of(session, run_id)
        await self._tell(run)
        return run_id

    async def history(self, organisation_id: uuid.UUID, run_id: uuid.UUID) -> History:
        """All of a run.

        Raises:
            NotFound: there is none of this organisation's.
        """
        async with self._database.transaction() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            await histories.run_of(session, run_id, organisation_id)
            return await histories.history_of(session, run_id)

    async def runs(self, organisation_id: uuid.UUID, limit: int) -> Sequence[RunRecord]:
        """The newest ones; where this is of a program, its own."""
        async with self._database.reading() as session:
            return await histories.runs_of(session, organisation_id, limit, self._program)

    async def parent(self, run_id: uuid.UUID) -> uuid.UUID | None:
        """The run whose step this one is; None: nobody's, or unknown."""
        async with self._database.reading() as session:
            return await due.parent_of(session, run_id)

    async def states(self, run_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """In which states these runs are; those that are gone are left out."""
        async with self._database.reading() as session:
            return await due.states(session, run_ids)

    async def cancel(
        self, organisation_id: uuid.UUID, run_id: uuid.UUID, *, compensate: bool, by: str | None = None
    ) -> None:
        """Have a run end.

        Args:
            by: the address of whoever asks.

        Raises:
            NotFound: there is none of this organisation's.
            Conflict: it is over.
        """
        async with self._database.transaction() as session:
            run = await histories.run_of(session, run_id, organisation_id)
            await holding.ask_cancel(session, run_id, compensate=compensate, by=by)
        await self._tell(run)

    async def pause(self, organisation_id: uuid.UUID, run_id: uuid.UUID, reason: str, by: str | None = None) -> None:
        """Have nothing begin any more, until somebody has the run go on.

        Args:
            by: the address of whoever asks.

        Raises:
            NotFound: there is none of this organisation's.
            Conflict: it is over, or is being cancelled.
        """
        async with self._database.transaction() as session:
            run = await histories.run_of(session, run_id, organisation_id)
            await holding.pause(session, run_id, reason, by)
        await self._tell(run)

    async def resume(self, organisation_id: uuid.UUID, run_id: uuid.UUID, by: str | None = None) -> None:
        """Have a run that was paused go on.

        Raises:
            NotFound: there is none of this organisation's.
            Conflict: it is over.
        """
        async with self._database.transaction() as session:
            run = await histories.run_of(session, run_id, organisation_id)
            await holding.resume(session, run_id, by)
        await self._tell(run)

    async def remove(self, organisation_id: uuid.UUID, run_id: uuid.UUID) -> None:
        """Remove a run that is over, with all that is kept of its steps; what follows it ends.

        Raises:
            NotFound: there is none of this organisation's.
            Conflict: it is not over.
        """
        async with self._database.transaction() as session:
            await histories.run_of(session, run_id, organisation_id)
            row = await recording.locked(session, run_id)
            if row.state not in OVER:
                raise Conflict(f"The run is {row.state}.", field="run", remedy="Cancel it first.")
            if row.deleted_at is None:
                await removal.bury(session, run_id)
        await removing.begin(self._database, run_id)

    async def answer(
        self,
        organisation_id: uuid.UUID,
        run_id: uuid.UUID,
        key: ResultKey,
        said: Answer,
        output: Any,
        who: uuid.UUID | None,
    ) -> None:
        """Say what became of a step of which it is not known whether it happened.

        Args:
            output: what it gave, where it has succeeded.
            who: None: an operator.

        Raises:
            NotFound: there is no such run of this organisation's.
            Conflict: nobody asks.
            InvalidInput: the output is not what the step may give.
        """
        history = await self.history(organisation_id, run_id)
        kept = _checked_output(history, key, output) if said == "succeeded" else None
        async with self._database.transaction() as session:
            await recording.answer(session, run_id, key, said, kept, who)
        await self._tell(history.run)


def _checked_output(history: History, key: ResultKey, output: Any) -> Any:
    """What people say that a step gave, as it is kept."""
    flow = progress_of(history).definition.flow
    step = flow.steps.get(key.step)
    if step is None:
        raise InvalidInput(f"The flow has no step {key.step[:100]!r}.", field="step", remedy="See: pavo flow status ID")
    try:
        kept, size = plain(output)
        wrong = None if key.undoes else misfit(output_schema(step), kept)
    except (NotStorable, SchemaTooCostly) as error:
        raise InvalidInput(f"The output cannot be kept: {error}.", field="output") from error
    if wrong is not None or size > flow.limits.output_bytes:
        told = wrong.message[:300] if wrong is not None else f"It has {size:,} bytes, which is too many."
        raise InvalidInput(told, field="output", remedy="Give what the step's `output` and the flow's limits declare.")
    return kept
