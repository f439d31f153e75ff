"""SQL of gates. Every function works in its caller's session, and in that of the gate's owner where it writes."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.gates.domain import ANSWERED, BY_DEFAULT, EXPIRED, OPEN, PAUSED, Gate, GateState, NewGate, Subject
from pavo.gates.models import GateAnswerRow, GateRow
from pavo.kit.ids import new_id
from pavo.kit.pagination import Cursor


def gate_of(row: GateRow) -> Gate:
    """A row as the rest knows it."""
    state: Any = row.state
    return Gate(
        row.id,
        row.organisation_id,
        row.subject_id,
        row.kind,
        row.key,
        row.body,
        row.hash,
        row.schema,
        tuple(row.choices),
        state,
        row.answer,
        row.answered_by,
        row.answered_by_id,
        row.note,
        row.opened_at,
        row.expires_at,
        row.answered_at,
        row.has_default,
        row.default_answer,
    )


async def open_gate(session: AsyncSession, subject: Subject, new: NewGate) -> tuple[Gate, bool]:
    """The gate, and whether this opened it: one that was asked before stands as it stands, a paused one opens again."""
    expires: Any = None
    if new.expires_seconds is not None:
        expires = func.pavo_now() + func.make_interval(0, 0, 0, 0, 0, 0, new.expires_seconds)
    values = {
        "id": new_id(),
        "organisation_id": subject.organisation_id,
        "subject_id": subject.id,
        "scope": subject.scope,
        "kind": new.kind,
        "key": new.key,
        "body": new.text,
        "hash": new.hash,
        "schema": dict(new.schema),
        "choices": list(new.choices),
        "expires_seconds": new.expires_seconds,
        "expires_at": expires,
        "has_default": new.has_default,
        "default_answer": new.default,
    }
    again = {"state": OPEN, "opened_at": func.pavo_now(), "expires_at": expires}
    more = {"has_default": new.has_default, "default_answer": new.default, "expires_seconds": new.expires_seconds}
    statement = (
        insert(GateRow)
        .values(**values)
        .on_conflict_do_update(
            index_elements=["subject_id", "scope", "key", "hash"], set_={**again, **more}, where=GateRow.state == PAUSED
        )
        .returning(GateRow.id)
    )
    opened = (await session.scalars(statement)).one_or_none()
    row = (await session.scalars(_same(subject, new.key, new.hash).execution_options(populate_existing=True))).one()
    return gate_of(row), opened is not None


async def find(session: AsyncSession, subject: Subject, key: str, content_hash: str) -> Gate | None:
    """The gate that was opened for this."""
    row = (await session.scalars(_same(subject, key, content_hash))).one_or_none()
    return gate_of(row) if row is not None else None


async def get(session: AsyncSession, gate_id: uuid.UUID, *, lock: bool = False) -> Gate | None:
    """A gate by its id."""
    query = select(GateRow).where(GateRow.id == gate_id).execution_options(populate_existing=True)
    row = (await session.scalars(query.with_for_update() if lock else query)).one_or_none()
    return gate_of(row) if row is not None else None


async def propose(
    session: AsyncSession, gate_id: uuid.UUID, answer: Any, note: str, by_id: uuid.UUID, by_email: str
) -> uuid.UUID:
    """Keep what somebody answers, until the gate's owner has taken it; its id."""
    row = GateAnswerRow(id=new_id(), gate_id=gate_id, answer=answer, note=note, by_id=by_id, by_email=by_email)
    session.add(row)
    await session.flush()
    return row.id


async def take(session: AsyncSession, gate_id: uuid.UUID, answer_id: uuid.UUID) -> tuple[Gate | None, bool]:
    """Close an open gate with this proposal; the gate as it stands then, and whether this closed it.

    One that was closed by it before is closed by it: the same call again changes nothing, and says so as the first did
    not.
    """
    proposed = await session.get(GateAnswerRow, answer_id)
    if proposed is None or proposed.gate_id != gate_id:
        return None, False
    values = {
        "state": ANSWERED,
        "answer_id": answer_id,
        "answer": proposed.answer,
        "note": proposed.note,
        "answered_by": proposed.by_email,
        "answered_by_id": proposed.by_id,
        "answered_at": func.pavo_now(),
    }
    closing = update(GateRow).where(GateRow.id == gate_id, GateRow.state == OPEN).values(**values).returning(GateRow.id)
    closed = (await session.scalars(closing)).one_or_none() is not None
    return await get(session, gate_id), closed


async def is_taken(session: AsyncSession, gate_id: uuid.UUID, answer_id: uuid.UUID) -> bool:
    """Whether this proposal is the gate's answer."""
    query = select(GateRow.id).where(GateRow.id == gate_id, GateRow.answer_id == answer_id)
    return (await session.scalars(query)).one_or_none() is not None


async def expire(session: AsyncSession, subject_id: uuid.UUID) -> Sequence[Gate]:
    """Close the gates of a subject whose time is over, by their default where they have one; those that it closed."""
    due = select(GateRow).where(
        GateRow.subject_id == subject_id, GateRow.state == OPEN, GateRow.expires_at <= func.pavo_now()
    )
    closed: list[Gate] = []
    for row in (await session.scalars(due.with_for_update().order_by(GateRow.id))).all():
        row.state = ANSWERED if row.has_default else EXPIRED
        row.answered_at = func.pavo_now()
        if row.has_default:
            row.answer, row.answered_by = row.default_answer, BY_DEFAULT
        await session.flush()
        await session.refresh(row)
        closed.append(gate_of(row))
    return closed


async def next_expiry(session: AsyncSession, subject_id: uuid.UUID) -> datetime | None:
    """When the next open gate of a subject expires."""
    query = select(func.min(GateRow.expires_at)).where(GateRow.subject_id == subject_id, GateRow.state == OPEN)
    return (await session.scalars(query)).one()


async def pause(session: AsyncSession, subject_id: uuid.UUID) -> None:
    """The owner rests: its open gates take no answer until they are asked again."""
    await session.execute(
        update(GateRow).where(GateRow.subject_id == subject_id, GateRow.state == OPEN).values(state=PAUSED)
    )


async def remove(session: AsyncSession, subject_id: uuid.UUID) -> None:
    """Remove all that is kept of a subject's gates."""
    await session.execute(delete(GateRow).where(GateRow.subject_id == subject_id))


async def page(
    session: AsyncSession,
    organisation_ids: Sequence[uuid.UUID],
    *,
    state: GateState | None,
    subject_id: uuid.UUID | None,
    after: Cursor | None,
    limit: int,
) -> Sequence[Gate]:
    """The gates of organisations, those that wait longest first."""
    query = select(GateRow).where(GateRow.organisation_id.in_(organisation_ids))
    if state is not None:
        query = query.where(GateRow.state == state)
    if subject_id is not None:
        query = query.where(GateRow.subject_id == subject_id)
    if after is not None:
        query = query.where(tuple_(GateRow.opened_at, GateRow.id) > tuple_(after.created_at, after.id))
    query = query.order_by(GateRow.opened_at, GateRow.id).limit(limit)
    return [gate_of(row) for row in (await session.scalars(query)).all()]


def _same(subject: Subject, key: str, content_hash: str) -> Any:
    return select(GateRow).where(
        GateRow.subject_id == subject.id,
        GateRow.scope == subject.scope,
        GateRow.key == key,
        GateRow.hash == content_hash,
    )
