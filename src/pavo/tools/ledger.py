"""The ledger of tools' calls: an intent before, the outcome after, both by the attempt that holds the lease alone.

Every function works in its caller's session, which has seen to it that this attempt's lease still holds, and keeps it
from being taken over until the session commits. The rows carry the epoch too: a call that a newer attempt has started
is settled by nobody else.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.asking.question import Question
from pavo.agents.calling.request import ToolRequest
from pavo.gates import repository as gates
from pavo.gates.domain import EFFECT, Subject
from pavo.kit.ids import new_id
from pavo.tools.approvals import arguments_told, permission_for
from pavo.tools.contract import UNSAFE, Effect
from pavo.tools.models import ToolCallRow
from pavo.tools.policies.domain import ALLOW, Verdict
from pavo.tools.running import Outcome

YES: Final = "yes"
NO: Final = "no"
STOP: Final = "stop"
ANSWERS: Final[Mapping[str, Any]] = {
    "anyOf": [
        {"enum": [YES, NO, STOP]},
        {"type": "object", "properties": {YES: {}}, "required": [YES], "additionalProperties": False},
    ]
}
"""JSON Schema of what people answer; `{"yes": RESULT}` says what it answered."""


NOTHING: Final = Outcome()
NOT_BEGUN: Final = ("asked", "denied")
"""States of a call that never ran, or did not happen."""


class Next(Enum):
    """What to do about a call."""

    RUN = "it is this attempt's: run it, then settle it"
    RECORDED = "its outcome is known"
    ASK = "whether it happened is not known: people are asked"
    STOPPED = "people were asked, and said to stop"
    UNDER_WAY = "this attempt is at it"
    CHANGED = "its key names another call"
    DENIED = "a policy or a person said no: it does not run"
    LOST = "a newer attempt has it"


@dataclass(frozen=True, slots=True)
class Claim:
    """A call as it stands."""

    next: Next
    id: uuid.UUID
    """Of the call, and its idempotency key."""
    outcome: Outcome = NOTHING
    """Where it is RECORDED."""
    question: Question | None = None
    """Where it is to ASK."""
    by: str = ""
    """Who said to stop."""
    is_new: bool = False
    """Where it is DENIED: that it is was not recorded before."""


ALLOWED: Final = Verdict(ALLOW, "", "")


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a call may be made."""

    effect: Effect
    """What calling the tool counts as."""
    verdict: Verdict = ALLOWED
    """What the policies say."""


async def claim(session: AsyncSession, subject: Subject, request: ToolRequest, terms: Terms, epoch: int) -> Claim:
    """Take a call on, or tell what is known of it. What it answers RUN is written as begun.

    What policies do not simply allow is written too, and begins once people allow it. An unsafe call whose twin (the
    same tool and arguments, under another identity or another plan of the task) has an unknown outcome is that one: so
    nothing that does not know of it, such as a model that tries again, repeats it.
    """
    row = await _of(session, subject, request.identity)
    if row is None:
        twin = await _unknown_twin(session, subject, request, epoch) if terms.effect == UNSAFE else None
        made = await _insert(session, subject, request, terms, epoch, twin)
        if made is not None and twin is None and terms.verdict.decision == ALLOW:
            return Claim(Next.RUN, made)
        row = twin or await _of(session, subject, request.identity)
        assert row is not None
    elif (row.tool, row.arguments_hash) != (request.tool, request.hash):
        return Claim(Next.CHANGED, row.id)
    if row.same_as is not None:
        row = (await session.scalars(_locked(ToolCallRow.id == row.same_as))).one()
    return await _resume(session, row, terms, epoch)


async def settle(session: AsyncSession, call_id: uuid.UUID, outcome: Outcome, epoch: int) -> bool:
    """Record what came of a call; False: it is not this attempt's any more, and nothing was changed."""
    statement = (
        update(ToolCallRow)
        .where(ToolCallRow.id == call_id, ToolCallRow.epoch == epoch, ToolCallRow.state == "started")
        .values(**_settled(outcome))
        .returning(ToolCallRow.id)
    )
    return (await session.scalars(statement)).one_or_none() is not None


async def recorded(session: AsyncSession, subject: Subject, request: ToolRequest) -> Claim | None:
    """The recorded outcome of a call, where there is one."""
    mine = and_(
        ToolCallRow.subject_id == subject.id,
        ToolCallRow.scope == subject.scope,
        ToolCallRow.identity == request.identity,
    )
    row = (await session.scalars(select(ToolCallRow).where(mine))).one_or_none()
    if row is not None and row.same_as is not None:
        row = await session.get(ToolCallRow, row.same_as)
    if row is None or row.state not in ("done", "failed") or row.arguments_hash != request.hash:
        return None
    return Claim(Next.RECORDED, row.id, Outcome(row.outcome, row.error, row.remedy))


def question_of(row: ToolCallRow) -> Question:
    """What people are asked about a call whose outcome is unknown; another one each time that it is."""
    text = (
        f"Did this happen? The tool {row.tool} was called, and it is not known whether it did what it was to do. "
        "It is not safe to repeat.\n\n"
        f"{arguments_told(row)}\n\n"
        'Look, and answer "yes" (or {"yes": RESULT} with what it answered); "no": it is run again; "stop": the task '
        f"ends.\n\nCall {row.id}."
    )
    key = f"effect/{row.tool}/{row.id.hex[-12:]}/{row.asked + 1}"
    return Question(key, text, schema=ANSWERS, kind=EFFECT)


async def _resume(session: AsyncSession, row: ToolCallRow, terms: Terms, epoch: int) -> Claim:
    """A call that was made before, or that policies do not simply allow."""
    if row.state in ("done", "failed"):
        return Claim(Next.RECORDED, row.id, Outcome(row.outcome, row.error, row.remedy))
    if row.epoch > epoch:
        return Claim(Next.LOST, row.id)
    if row.state == "started" and row.epoch == epoch:
        return Claim(Next.UNDER_WAY, row.id)
    if row.state == "denied" and row.epoch == epoch:
        return Claim(Next.DENIED, row.id, Outcome(error=row.error, remedy=row.remedy))
    if row.state in NOT_BEGUN or UNSAFE not in (row.effect, terms.effect):
        return await _begin(session, row, terms, epoch)
    return await _unknown(session, row, terms, epoch)


async def _unknown(session: AsyncSession, row: ToolCallRow, terms: Terms, epoch: int) -> Claim:
    """It may have happened: as people say, also where they said it while another plan was worked off."""
    question = question_of(row)
    gate = await gates.answered(session, row.subject_id, question.key, question.hash)
    if gate is None:
        row.state, row.epoch = "unknown", epoch
        await session.flush()
        return Claim(Next.ASK, row.id, question=question)
    answer = gate.answer
    if answer == NO:
        return await _begin(session, row, terms, epoch)
    if answer == STOP:
        # Asked anew when the task is resumed.
        row.state, row.epoch, row.asked = "unknown", epoch, row.asked + 1
        await session.flush()
        return Claim(Next.STOPPED, row.id, by=gate.answered_by or "")
    outcome = Outcome(answer[YES] if isinstance(answer, dict) else None)
    await session.execute(update(ToolCallRow).where(ToolCallRow.id == row.id).values(**_settled(outcome)))
    return Claim(Next.RECORDED, row.id, outcome)


async def _begin(session: AsyncSession, row: ToolCallRow, terms: Terms, epoch: int) -> Claim:
    """It begins, perhaps once more, if it may."""
    may = await permission_for(session, row, terms.verdict, terms.effect)
    if may.question is not None:
        row.state, row.epoch = "asked" if row.state in NOT_BEGUN else "unknown", epoch
        await session.flush()
        return Claim(Next.ASK, row.id, question=may.question)
    if row.state == "unknown":
        row.asked += 1  # whether it happened is asked anew, should it come to that again
    if not may.granted:
        is_new = row.state != "denied"
        row.state, row.epoch, row.error, row.remedy = "denied", epoch, may.denied, may.remedy
        await session.flush()
        return Claim(Next.DENIED, row.id, Outcome(error=may.denied, remedy=may.remedy), is_new=is_new)
    row.state, row.epoch, row.runs = "started", epoch, row.runs + 1
    row.error = row.remedy = None
    await session.flush()
    return Claim(Next.RUN, row.id)


async def _of(session: AsyncSession, subject: Subject, identity: str) -> ToolCallRow | None:
    mine = and_(
        ToolCallRow.subject_id == subject.id, ToolCallRow.scope == subject.scope, ToolCallRow.identity == identity
    )
    return (await session.scalars(_locked(mine))).one_or_none()


async def _unknown_twin(
    session: AsyncSession, subject: Subject, request: ToolRequest, epoch: int
) -> ToolCallRow | None:
    """In whichever scope: another plan does not tell whether what the one before began has happened."""
    unknown = or_(ToolCallRow.state == "unknown", and_(ToolCallRow.state == "started", ToolCallRow.epoch < epoch))
    call = and_(ToolCallRow.tool == request.tool, ToolCallRow.arguments_hash == request.hash)
    query = _locked(and_(ToolCallRow.subject_id == subject.id, call, unknown))
    oldest_first = query.order_by(ToolCallRow.started_at, ToolCallRow.id)
    return (await session.scalars(oldest_first.limit(1))).one_or_none()


async def _insert(
    session: AsyncSession,
    subject: Subject,
    request: ToolRequest,
    terms: Terms,
    epoch: int,
    twin: ToolCallRow | None,
) -> uuid.UUID | None:
    at_once = terms.verdict.decision == ALLOW
    values = {
        "id": new_id(),
        "subject_id": subject.id,
        "scope": subject.scope,
        "identity": request.identity,
        "tool": request.tool,
        "arguments": dict(request.arguments),
        "arguments_hash": request.hash,
        "effect": terms.effect,
        "state": "same" if twin is not None else "started" if at_once else "asked",
        "runs": int(at_once),
        "same_as": None if twin is None else twin.id,
        "epoch": epoch,
    }
    statement = insert(ToolCallRow).values(**values).on_conflict_do_nothing().returning(ToolCallRow.id)
    return (await session.scalars(statement)).one_or_none()


def _settled(outcome: Outcome) -> dict[str, Any]:
    outcome = outcome.storable
    told = {"outcome": outcome.value, "error": outcome.error, "remedy": outcome.remedy}
    return {"state": outcome.state, "settled_at": func.pavo_now(), **told}


def _locked(condition: Any) -> Any:
    return select(ToolCallRow).where(condition).with_for_update().execution_options(populate_existing=True)
