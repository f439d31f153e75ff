"""The journal of models' calls: an intent before, the answer after, both by the attempt that holds the lease alone.

As the ledger of tools (`tools/ledger`), every function works in its caller's session, which has seen to it that this
attempt's lease still holds, and keeps it from being taken over until the session commits. It is simpler: asking a model
twice changes nothing but its bill, so a call without an answer is made again.
"""

import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from sqlalchemy import and_, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.calling.completion import ModelRequest
from pavo.gates.domain import Subject
from pavo.kit.ids import new_id
from pavo.llm.models import ModelCallRow
from pavo.usage.budgets import Exhausted


class Next(Enum):
    """What to do about a call."""

    ASK = "it is this attempt's: ask, then settle it"
    UNDER_WAY = "this process asks it already"
    RECORDED = "its answer is known"
    CHANGED = "its key names another call, which has its answer or is this attempt's"
    OTHER = "this process asks another request by its key, for an earlier attempt: wait until that has ended"
    LOST = "a newer attempt has it"
    EXHAUSTED = "a budget does not suffice for it"


@dataclass(frozen=True, slots=True)
class Claim:
    """A call as it stands."""

    next: Next
    id: uuid.UUID
    answer: Mapping[str, Any] | None = None
    """Where it is RECORDED."""
    exhausted: Exhausted | None = None
    """Where it is EXHAUSTED."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a call by the gateway stands: by that, not by a host's counting, it finds its answer."""

    place: str
    again: bool = False
    """The client makes the same call again, for it got no answer: no further one is meant."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a call asks."""

    endpoint: str
    model: str


async def claim(
    session: AsyncSession,
    subject: Subject,
    request: ModelRequest,
    asked: Asked,
    epoch: int,
    under_way: Container[uuid.UUID] = (),
) -> Claim:
    """Take a call on, or tell its answer. What is answered ASK is written as begun.

    A key names one request from its answer on. Before, a later attempt may ask another one by it: whoever mends the
    request that a model refused, or has another model asked, goes on so.

    Args:
        under_way: those that this process asks.
    """
    # Most calls are new: of these one statement is all.
    if (made := await _insert(session, subject, request, asked, epoch)) is not None:
        return Claim(Next.ASK, made)
    row = await _of(session, subject, request.identity)
    same = row.request_hash == request.hash
    if row.state == "done":
        return Claim(Next.RECORDED, row.id, row.answer) if same else Claim(Next.CHANGED, row.id)
    if row.epoch > epoch:
        return Claim(Next.LOST, row.id)
    if not same and row.state == "started" and (row.epoch == epoch or row.id in under_way):
        return Claim(Next.CHANGED if row.epoch == epoch else Next.OTHER, row.id)
    if row.id in under_way:
        row.epoch = epoch  # it is this attempt's from here on, whoever asked
        await session.flush()
        return Claim(Next.UNDER_WAY, row.id)
    row.state, row.epoch, row.runs = "started", epoch, row.runs + 1
    row.endpoint, row.model, row.error, row.request_hash = asked.endpoint, asked.model, None, request.hash
    row.exhausted = False
    await session.flush()
    return Claim(Next.ASK, row.id)


async def numbered(
    session: AsyncSession, subject: Subject, request: ModelRequest, occurrence: Occurrence, epoch: int
) -> ModelRequest:
    """The request with its identity: the next one of its equals at this place that this attempt has not made yet.

    The caller sees to it that this is decided for one call of the subject at a time. A call that none made before is
    written by `claim`, and noted as seen by the next look.
    """
    row, equal = ModelCallRow, and_(ModelCallRow.subject_id == subject.id, ModelCallRow.scope == subject.scope)
    same = and_(equal, row.place == occurrence.place, row.request_hash == request.hash)
    found = list(await session.scalars(select(row).where(same).order_by(row.number).with_for_update()))
    made = [each for each in found if each.seen_epoch == epoch]
    if occurrence.again and made:
        return replace(request, identity=made[-1].identity)
    unseen = next((each for each in found if each.seen_epoch != epoch), None)
    if unseen is not None:
        unseen.seen_epoch = epoch
        await session.flush()
        return replace(request, identity=unseen.identity)
    number = len(found) + 1
    return replace(request, identity=f"gateway/{occurrence.place}/{request.hash}/{number}")


async def placed(session: AsyncSession, call_id: uuid.UUID, occurrence: Occurrence, identity: str, epoch: int) -> None:
    """Note where a call by the gateway stands, in the transaction that claims it."""
    number = int(identity.rpartition("/")[2])
    values = {"place": occurrence.place, "number": number, "seen_epoch": epoch}
    await session.execute(update(ModelCallRow).where(ModelCallRow.id == call_id).values(**values))


async def recorded(session: AsyncSession, subject: Subject, request: ModelRequest) -> Claim | None:
    """The recorded answer of a call, where there is one."""
    row = (await session.scalars(select(ModelCallRow).where(_mine(subject, request.identity)))).one_or_none()
    if row is None or row.state != "done" or row.request_hash != request.hash:
        return None
    return Claim(Next.RECORDED, row.id, row.answer)


async def settle(session: AsyncSession, call_id: uuid.UUID, answer: Mapping[str, Any], epoch: int) -> bool:
    """Record an answer; False: the call is not this attempt's any more, and nothing was changed.

    Doing it again changes nothing, and is answered as the first time.
    """
    if await _settled(session, call_id, epoch, state="done", answer=dict(answer)):
        return True
    query = select(ModelCallRow.id).where(
        ModelCallRow.id == call_id, ModelCallRow.epoch == epoch, ModelCallRow.state == "done"
    )
    return (await session.scalars(query)).one_or_none() is not None


async def fail(session: AsyncSession, call_id: uuid.UUID, error: str, epoch: int, *, exhausted: bool = False) -> bool:
    """Record why there is no answer; False as for `settle`.

    Args:
        exhausted: a budget does not suffice.
    """
    return await _settled(session, call_id, epoch, state="failed", error=error, exhausted=exhausted)


async def ids(session: AsyncSession, subject: Subject, beginning: str) -> Sequence[uuid.UUID]:
    """Of the calls of a subject whose identities begin so."""
    mine = and_(ModelCallRow.subject_id == subject.id, ModelCallRow.scope == subject.scope)
    query = select(ModelCallRow.id).where(mine, func.starts_with(ModelCallRow.identity, beginning))
    return list(await session.scalars(query))


_FORGET: Final = text("""
DELETE FROM model_calls WHERE subject_id = :subject AND scope = :scope
    AND (starts_with(identity, :beginning) OR started_at < pavo_now() - CAST(:age AS interval))
""")


async def forget(session: AsyncSession, subject: Subject, beginning: str, age: timedelta) -> None:
    """Remove calls of a subject whose answers nobody asks for again: those whose identities begin so, and those that
    are older than this, which a crash has left. What they took stays counted."""
    values = {"subject": subject.id, "scope": subject.scope, "beginning": beginning, "age": age}
    await session.execute(_FORGET, values)


_REFUSED: Final = text("""
SELECT c.error FROM model_calls c
WHERE c.subject_id = :subject AND c.epoch = :epoch AND c.exhausted AND NOT EXISTS (
    SELECT 1 FROM model_calls o
    WHERE o.subject_id = :subject AND o.epoch = :epoch AND o.state = 'done' AND o.started_at > c.settled_at
)
ORDER BY c.settled_at DESC LIMIT 1
""")


async def refused_by_budget(session: AsyncSession, subject_id: uuid.UUID, epoch: int) -> str | None:
    """Why a budget kept this attempt from asking models; None: none did, or it was answered again afterwards."""
    return (await session.scalars(_REFUSED, {"subject": subject_id, "epoch": epoch})).one_or_none()


async def _settled(session: AsyncSession, call_id: uuid.UUID, epoch: int, **values: Any) -> bool:
    statement = (
        update(ModelCallRow)
        .where(ModelCallRow.id == call_id, ModelCallRow.epoch == epoch, ModelCallRow.state == "started")
        .values(settled_at=func.pavo_now(), **values)
        .returning(ModelCallRow.id)
    )
    return (await session.scalars(statement)).one_or_none() is not None


def _mine(subject: Subject, identity: str) -> Any:
    return and_(
        ModelCallRow.subject_id == subject.id, ModelCallRow.scope == subject.scope, ModelCallRow.identity == identity
    )


async def _of(session: AsyncSession, subject: Subject, identity: str) -> ModelCallRow:
    query = select(ModelCallRow).where(_mine(subject, identity)).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def _insert(
    session: AsyncSession, subject: Subject, request: ModelRequest, asked: Asked, epoch: int
) -> uuid.UUID | None:
    values = {
        "id": new_id(),
        "subject_id": subject.id,
        "scope": subject.scope,
        "identity": request.identity,
        "request_hash": request.hash,
        "endpoint": asked.endpoint,
        "model": asked.model,
        "epoch": epoch,
    }
    statement = insert(ModelCallRow).values(**values).on_conflict_do_nothing().returning(ModelCallRow.id)
    return (await session.scalars(statement)).one_or_none()
