"""Gates of flows: a step that asks people is work that is over once they have answered, or were too late.

A gate is a row that no workflow waits for: whoever answers closes it, and what looks at the work of steps sees that.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.errors import Forbidden, NotFound, WrongStage
from pavo.flows.attempts import Given
from pavo.flows.definition.definition import definition_of
from pavo.flows.definition.written import Gate as WrittenGate
from pavo.flows.definition.written import WrittenStep
from pavo.flows.ledger import histories
from pavo.flows.ledger.records import NOUN
from pavo.gates import repository
from pavo.gates.domain import ANSWERED, EXPIRED, MEMBER, OWNER, QUESTION, Gate, NewGate, Subject
from pavo.kit.json_values import fingerprint
from pavo.kit.sql import Database, time_of
from pavo.works.work import GONE, Outcome

WORK: Final = "gate"
OWNERS: Final = "owners"
MEMBERS: Final = "members"
_APPROVAL: Final[Mapping[str, Any]] = {"approved": {"type": "boolean"}}
"""Of a gate that says no form."""


def gate_of(step: WrittenStep, given: Given) -> NewGate:
    """What is asked."""
    written = step.gate
    assert written is not None
    form = dict(written.form) or dict(_APPROVAL)
    schema = {"type": "object", "properties": form, "required": [*form], "additionalProperties": False}
    question = str(given.values["gate"]["question"]) or step.title or given.key.step
    expires = None if written.expires is None else written.expires.total_seconds()
    asked = {written.ask} | ({written.escalate.ask} if written.escalate is not None else set[str]())
    about = {"question": question, "schema": schema, "key": given.idempotency_key, "attempt": given.attempt}
    return NewGate(
        QUESTION,
        _key(given),
        question,
        fingerprint(about),
        schema,
        expires_seconds=expires,
        may_answer=OWNER if asked == {OWNERS} else MEMBER,
    )


def _key(given: Given) -> str:
    item = "" if given.key.item is None else f"/{given.key.item}"
    return f"{given.key.step}{item}"


class GateWork:
    """See `works.work.Work`; what its gates ask is said by steps alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, step: WrittenStep, given: Given) -> uuid.UUID:
        """Ask; asked again it is the same gate."""
        subject = Subject(given.run_id, given.organisation_id, f"{given.attempt}", NOUN)
        async with self._database.transaction() as session:
            gate, _ = await repository.open_gate(session, subject, gate_of(step, given))
        return gate.id

    async def check(self, who: Identity, body: BaseModel) -> None:
        """Nobody but a step opens one."""
        raise NotFound("Gates are opened by steps of flows alone.")

    async def make(self, who: Identity, body: Mapping[str, Any], key: str) -> uuid.UUID:
        """Nobody but a step opens one."""
        raise NotFound("Gates are opened by steps of flows alone.")

    async def begin(self, who: Identity, subject_id: uuid.UUID) -> None:
        """It was, when it was opened."""

    async def stages(self, subject_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """In which states they are; those whose time is over are closed by this."""
        async with self._database.reading() as session:
            due = await repository.overdue(session, subject_ids)
        for run_id in due:
            async with self._database.transaction() as session:
                await repository.expire(session, run_id)
        async with self._database.reading() as session:
            return await repository.states(session, subject_ids)

    def is_over(self, stage: str) -> bool:
        """Whether nobody can answer any more."""
        return stage in (ANSWERED, EXPIRED)

    async def outcome(self, who: Identity | None, subject_id: uuid.UUID) -> Outcome:
        """What was answered, by whom."""
        async with self._database.reading() as session:
            gate = await repository.get(session, subject_id)
        if gate is None:
            return Outcome(GONE, error="the gate is gone")
        if gate.state == EXPIRED:
            return Outcome(EXPIRED, error="nobody answered in time")
        return Outcome(gate.state, {**gate.answer, "answered_by": gate.answered_by or ""})

    async def stop(self, who: Identity | None, subject_id: uuid.UUID) -> None:
        """It takes no answer any more."""
        async with self._database.transaction() as session:
            await repository.rest(session, subject_id)


class FlowGates:
    """See `gates.service.GateOwner`: of the runs of flows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, who: Identity, gate: Gate, answer_id: uuid.UUID) -> None:
        """Close the gate with this proposal.

        Raises:
            NotFound: it is no gate of a run of theirs.
            Forbidden: others are asked.
            WrongStage: the run is over.
        """
        if gate.subject_kind != NOUN:
            raise NotFound(f"There is no run {gate.subject_id}.", field="gate_id")
        async with self._database.transaction() as session:
            run = await histories.run_of(session, gate.subject_id)
            if run.organisation_id not in who.organisation_ids:
                raise NotFound(f"There is no run {gate.subject_id}.", field="gate_id")
            if run.is_over:
                raise WrongStage(f"Nothing waits for this answer: the run is {run.state}.", field="state")
            text = await histories.definition_of(session, run.organisation_id, run.hash)
            step = definition_of(text, lambda sources: [None] * len(sources)).flow.steps[gate.key.partition("/")[0]]
            assert step.gate is not None
            await _require_asked(session, who, gate, step.gate)
            await repository.take(session, gate.id, answer_id)


async def _require_asked(session: AsyncSession, who: Identity, gate: Gate, written: WrittenGate) -> None:
    asked = [written.ask]
    if written.escalate is not None and await time_of(session) >= gate.opened_at + _after(written):
        asked.append(written.escalate.ask)
    if MEMBERS in asked or who.email in asked:
        return
    if OWNERS in asked and gate.organisation_id in await repository.owned(session, who.user_id):
        return
    raise Forbidden(f"This is asked of {' and '.join(asked)}.", field="gate_id", remedy="Have them answer.")


def _after(written: WrittenGate) -> timedelta:
    assert written.escalate is not None
    return written.escalate.after
