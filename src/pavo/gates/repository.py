"""SQL of gates. Every function works in its caller's session, and in that of the gate's owner where it writes."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Text, and_, cast, delete, exists, func, literal, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import MembershipRow
from pavo.gates.domain import (
    ANSWERED,
    BY_DEFAULT,
    EXPIRED,
    MEMBER,
    OPEN,
    OWNER,
    PAUSED,
    TASK,
    Gate,
    GateState,
    NewGate,
    OpenGates,
    Subject,
    same_json,
)
from pavo.gates.models import GateAnswerRow, GateRow
from pavo.kit.ids import new_id
from pavo.kit.pagination import Cursor
from pavo.runs.subjects import Subjects

PAGE_BYTES: Final = 1_000_000
_SIZE: Final = func.octet_length(GateRow.body) + sum(
    (
        func.coalesce(func.octet_length(cast(column, Text)), 0)
        for column in (GateRow.schema, GateRow.choices, GateRow.answer, GateRow.default_answer, GateRow.note)
    ),
    start=literal(0),
)
"""Bytes of what is of any length in a gate."""
_WAITING: Final = text("""
SELECT count(*) AS gates, coalesce(extract(epoch FROM pavo_now() - min(opened_at)), 0) AS age
FROM gates WHERE state = 'open'
""")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which gates a list holds, and in which order."""

    organisation_ids: Sequence[uuid.UUID]
    state: GateState | None = None
    kind: str | None = None
    subject_id: uuid.UUID | None = None
    task_id: uuid.UUID | None = None
    """Of a subject that is this task."""
    created_by: uuid.UUID | None = None
    """Of subjects that this user created."""
    owned: Sequence[uuid.UUID] | None = None
    """Of gates that owners alone may answer those of these organisations; None: all."""
    newest_first: bool = False


def gate_of(row: GateRow) -> Gate:
    """A row as the rest knows it."""
    state: Any = row.state
    may_answer: Any = row.may_answer
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
        may_answer,
        row.subject_kind,
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
        "subject_kind": subject.kind,
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
        "may_answer": new.may_answer,
    }
    again = {"state": OPEN, "opened_at": func.pavo_now(), "expires_at": expires}
    more = {"has_default": new.has_default, "default_answer": new.default, "expires_seconds": new.expires_seconds}
    more["may_answer"] = new.may_answer
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


async def answered(session: AsyncSession, subject_id: uuid.UUID, key: str, content_hash: str) -> Gate | None:
    """What was last answered to this, in whichever scope of its subject."""
    mine = and_(GateRow.subject_id == subject_id, GateRow.key == key, GateRow.hash == content_hash)
    query = select(GateRow).where(mine, GateRow.state == ANSWERED).order_by(GateRow.answered_at.desc()).limit(1)
    row = (await session.scalars(query)).one_or_none()
    return gate_of(row) if row is not None else None


async def newest_answered(session: AsyncSession, subject: Subject, key: str) -> Gate | None:
    """What was last answered under this key, whatever was asked."""
    mine = and_(GateRow.subject_id == subject.id, GateRow.scope == subject.scope, GateRow.key == key)
    query = select(GateRow).where(mine, GateRow.state == ANSWERED).order_by(GateRow.answered_at.desc()).limit(1)
    row = (await session.scalars(query)).one_or_none()
    return gate_of(row) if row is not None else None


async def count_answered(session: AsyncSession, subject: Subject, key: str) -> int:
    """How often something was answered under this key."""
    mine = and_(GateRow.subject_id == subject.id, GateRow.scope == subject.scope, GateRow.key == key)
    query = select(func.count()).select_from(GateRow).where(mine, GateRow.state == ANSWERED)
    return (await session.scalars(query)).one()


async def get(session: AsyncSession, gate_id: uuid.UUID, *, lock: bool = False) -> Gate | None:
    """A gate by its id."""
    query = select(GateRow).where(GateRow.id == gate_id).execution_options(populate_existing=True)
    row = (await session.scalars(query.with_for_update() if lock else query)).one_or_none()
    return gate_of(row) if row is not None else None


async def propose(
    session: AsyncSession, gate_id: uuid.UUID, answer: Any, note: str, by_id: uuid.UUID | None, by_email: str
) -> uuid.UUID:
    """Keep what somebody answers, until the gate's owner has taken it; its id. Said again it is the same one.

    Args:
        by_id: None: it is a policy that answers, and `by_email` names it.
    """
    same = select(GateAnswerRow).where(GateAnswerRow.gate_id == gate_id, GateAnswerRow.by_id == by_id)
    for before in (await session.scalars(same)).all():
        if before.note == note and same_json(before.answer, answer):
            return before.id
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
    if not closed and not await is_taken(session, gate_id, answer_id):
        await session.delete(proposed)  # whoever says it again, once it is asked again, says something new
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


async def not_open(session: AsyncSession, gate_ids: Iterable[uuid.UUID]) -> Sequence[uuid.UUID]:
    """Which of these are closed, or rest."""
    query = select(GateRow.id).where(GateRow.id.in_(list(gate_ids)), GateRow.state != OPEN)
    return (await session.scalars(query)).all()


async def states(session: AsyncSession, gate_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """In which states these are; those that are gone are left out."""
    rows = await session.execute(select(GateRow.id, GateRow.state).where(GateRow.id.in_(gate_ids)))
    return {each[0]: each[1] for each in rows}


async def overdue(session: AsyncSession, gate_ids: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
    """The subjects of those of these whose time is over."""
    due = (GateRow.id.in_(gate_ids), GateRow.state == OPEN, GateRow.expires_at <= func.pavo_now())
    return (await session.scalars(select(GateRow.subject_id).where(*due).distinct())).all()


async def rest(session: AsyncSession, gate_id: uuid.UUID) -> None:
    """Nobody waits for an answer to it any more."""
    await session.execute(update(GateRow).where(GateRow.id == gate_id, GateRow.state == OPEN).values(state=PAUSED))


async def is_asked(session: AsyncSession, subject_id: uuid.UUID) -> bool:
    """Whether people are asked about a subject now."""
    open_ = select(exists().where(GateRow.subject_id == subject_id, GateRow.state == OPEN))
    return bool((await session.scalars(open_)).one())


async def pause(session: AsyncSession, subject_id: uuid.UUID, *, but: Collection[uuid.UUID] = ()) -> None:
    """The owner rests, or asks others alone: its open gates but these take no answer until they are asked again."""
    resting = update(GateRow).where(GateRow.subject_id == subject_id, GateRow.state == OPEN, GateRow.id.not_in(but))
    await session.execute(resting.values(state=PAUSED))


async def remove(session: AsyncSession, subject_id: uuid.UUID) -> None:
    """Remove all that is kept of a subject's gates."""
    await session.execute(delete(GateRow).where(GateRow.subject_id == subject_id))


async def waiting(session: AsyncSession) -> OpenGates:
    """What waits for people, in all organisations."""
    row = (await session.execute(_WAITING)).one()
    return OpenGates(row.gates, float(row.age))


async def page(
    session: AsyncSession, chosen: Chosen, subjects: Subjects, *, after: Cursor | None, limit: int
) -> tuple[list[Gate], bool]:
    """Gates in the wanted order, and whether there are more; one at least, `PAGE_BYTES` of them at most."""
    query = select(GateRow.id, _SIZE).where(*_conditions(chosen, subjects))
    place = tuple_(GateRow.opened_at, GateRow.id)
    if after is not None:
        at = tuple_(after.created_at, after.id)
        query = query.where(place < at if chosen.newest_first else place > at)
    falling = (GateRow.opened_at.desc(), GateRow.id.desc())
    order = falling if chosen.newest_first else (GateRow.opened_at, GateRow.id)
    sizes = (await session.execute(query.order_by(*order).limit(limit + 1))).all()
    wanted, size = list[uuid.UUID](), 0
    for gate_id, bytes_of_it in sizes[:limit]:
        size += bytes_of_it
        if wanted and size > PAGE_BYTES:
            break
        wanted.append(gate_id)
    rows = (await session.scalars(select(GateRow).where(GateRow.id.in_(wanted)).order_by(*order))).all()
    return [gate_of(row) for row in rows], len(wanted) < len(sizes)


async def count(session: AsyncSession, chosen: Chosen, subjects: Subjects) -> int:
    """How many there are on all pages."""
    query = select(func.count()).select_from(GateRow).where(*_conditions(chosen, subjects))
    return (await session.scalars(query)).one()


def _conditions(chosen: Chosen, subjects: Subjects) -> list[Any]:
    found: list[Any] = [GateRow.organisation_id.in_(chosen.organisation_ids)]
    if chosen.state is not None:
        found.append(GateRow.state == chosen.state)
    if chosen.kind is not None:
        found.append(GateRow.kind == chosen.kind)
    if chosen.subject_id is not None:
        found.append(GateRow.subject_id == chosen.subject_id)
    if chosen.task_id is not None:
        found += (GateRow.subject_id == chosen.task_id, GateRow.subject_kind == TASK)
    if chosen.created_by is not None:
        theirs = f"(SELECT FROM {subjects.sql} s WHERE s.id = gates.subject_id AND s.created_by = :created_by)"
        found.append(text(f"EXISTS {theirs}").bindparams(created_by=chosen.created_by))
    if chosen.owned is not None:
        found.append(or_(GateRow.may_answer == MEMBER, GateRow.organisation_id.in_(chosen.owned)))
    return found


async def owned(session: AsyncSession, user_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """The organisations that this user owns, at the moment."""
    mine = (MembershipRow.user_id == user_id, MembershipRow.role == OWNER)
    return (await session.scalars(select(MembershipRow.organisation_id).where(*mine))).all()


def _same(subject: Subject, key: str, content_hash: str) -> Any:
    return select(GateRow).where(
        GateRow.subject_id == subject.id,
        GateRow.scope == subject.scope,
        GateRow.key == key,
        GateRow.hash == content_hash,
    )
