"""Giving content its name, in the caller's transaction: rows, limits, and the content's way into its place.

First `announce`, in a transaction of its own: so content that is put in its place by somebody who dies before the
commit is looked at later. Then `record`, which holds the announcement until the commit: nobody removes meanwhile.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.artifacts.domain import MAX_ARTIFACTS, MAX_NAME_BYTES, Artifact, ArtifactLimits, too_much
from pavo.artifacts.models import ArtifactLeftoverRow, ArtifactRow, ArtifactUsageRow
from pavo.artifacts.store import BlobStore, Staged
from pavo.errors import ArtifactError
from pavo.kit.ids import new_id
from pavo.kit.sql import Database

UNDER_WAY: Final = "10 minutes"
"""So long it may take from the announcement to the commit before somebody looks."""
_DUE: Final = text(f"pavo_now() + interval '{UNDER_WAY}'")
_NAME: Final = ArtifactRow.name.collate("C")
"""The order of names, which is the same in every database."""


_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('artifacts of ' || :task, 0))")
_TAKEN: Final = text("""
DELETE FROM artifacts a USING unnest(CAST(:old AS text[]), CAST(:new AS text[])) AS n (old, new), artifacts there
WHERE a.subject_id = :subject AND a.name = n.old AND there.subject_id = :subject AND there.name = n.new
""")
_RENAME: Final = text("""
UPDATE artifacts a SET name = n.new FROM unnest(CAST(:old AS text[]), CAST(:new AS text[])) AS n (old, new)
WHERE a.subject_id = :subject AND a.name = n.old
""")


@dataclass(frozen=True, slots=True)
class ArtifactOwner:
    """Whose artifacts they are."""

    id: uuid.UUID
    """Of the task."""
    organisation_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """Content that is to get a name; what had that name before loses it."""

    name: str
    media_type: str
    staged: Staged
    id: uuid.UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An artifact, and whether it is new: the same content under the same name was there before otherwise."""

    artifact: Artifact
    new: bool


async def announce(database: Database, owner: ArtifactOwner, new: Sequence[NewArtifact]) -> None:
    """Say what is about to be kept.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    async with database.transaction() as session:
        await _hold(session, owner, [each.staged.sha256 for each in new])


async def record(
    session: AsyncSession, store: BlobStore, limits: ArtifactLimits, owner: ArtifactOwner, new: Sequence[NewArtifact]
) -> Sequence[Recorded]:
    """Give each content its name. The caller has announced it, and commits.

    Raises:
        ArtifactError: a limit is reached; the caller's transaction must not be committed.
        Unavailable: the content cannot be put in its place.
    """
    # One after the other: two that give the same new name would not see each other.
    await alone(session, owner.id)
    names = [each.name for each in new]
    mine = (ArtifactRow.subject_id == owner.id, ArtifactRow.name.in_(names))
    locked = select(ArtifactRow).where(*mine).order_by(ArtifactRow.name).with_for_update()
    before = (await session.scalars(locked)).all()
    there = {row.name: row for row in before}
    same = {each.name for each in new if each.name in there and _is_same(there[each.name], each)}
    added = [each for each in new if each.name not in same]
    hashes = {each.staged.sha256 for each in new} | {row.sha256 for row in before}
    await _hold(session, owner, hashes)
    if added:
        gone = [row.id for row in before if row.name not in same]
        await session.execute(delete(ArtifactRow).where(ArtifactRow.id.in_(gone)))
        await _insert(session, owner, added)
        await _check(session, limits, owner)
    # Last, and also what is there already: whatever was refused leaves nothing behind.
    await asyncio.to_thread(_publish, store, owner, new)
    rows = (await session.scalars(select(ArtifactRow).where(*mine))).all()
    found = {row.name: artifact_of(row) for row in rows}
    return [Recorded(found[each.name], each.name not in same) for each in new]


async def alone(session: AsyncSession, subject_id: uuid.UUID) -> None:
    """Nobody else gives or changes names of this subject's until the transaction ends; again is well."""
    await session.execute(_ALONE, {"task": str(subject_id)})


async def rename(session: AsyncSession, subject_id: uuid.UUID, fresh: Mapping[str, str]) -> None:
    """Give artifacts other names: content, ids and times stay. Where the new name is taken, what has it stays, and the
    other one goes; a name that would be too long stays as it is.

    Args:
        fresh: the new names, by the old ones.
    """
    wanted = {old: new for old, new in fresh.items() if len(new.encode()) <= MAX_NAME_BYTES}
    if not wanted:
        return
    await alone(session, subject_id)
    names = {"subject": subject_id, "old": list(wanted), "new": list(wanted.values())}
    await session.execute(_TAKEN, names)
    await session.execute(_RENAME, names)


def artifact_of(row: ArtifactRow) -> Artifact:
    """The row as everybody else sees it."""
    return Artifact(row.id, row.name, row.media_type, row.bytes, row.sha256, row.created_at)


async def listed(
    session: AsyncSession, subject_id: uuid.UUID, after: str, limit: int, prefix: str = ""
) -> Sequence[Artifact]:
    """Artifacts of a task by name, after this one."""
    query = select(ArtifactRow).where(ArtifactRow.subject_id == subject_id, after < _NAME)
    if prefix:
        query = query.where(ArtifactRow.name.startswith(prefix, autoescape=True))
    return [artifact_of(row) for row in await session.scalars(query.order_by(_NAME).limit(limit))]


async def find(session: AsyncSession, subject_id: uuid.UUID, which: str) -> Artifact | None:
    """The task's artifact with this id or name."""
    named = select(ArtifactRow).where(ArtifactRow.subject_id == subject_id, ArtifactRow.name == which)
    try:
        identified = select(ArtifactRow).where(ArtifactRow.subject_id == subject_id, ArtifactRow.id == uuid.UUID(which))
    except ValueError:
        row = None
    else:
        row = (await session.scalars(identified)).one_or_none()
    row = row or (await session.scalars(named)).one_or_none()
    return None if row is None else artifact_of(row)


async def owner_of(session: AsyncSession, artifact_id: uuid.UUID) -> uuid.UUID | None:
    """The organisation among whose content the artifact's lies."""
    query = select(ArtifactRow.organisation_id).where(ArtifactRow.id == artifact_id)
    return (await session.scalars(query)).one_or_none()


def _is_same(row: ArtifactRow, new: NewArtifact) -> bool:
    return (row.sha256, row.media_type) == (new.staged.sha256, new.media_type)


def _publish(store: BlobStore, owner: ArtifactOwner, new: Sequence[NewArtifact]) -> None:
    for staged in {each.staged.sha256: each.staged for each in new}.values():
        store.publish(owner.organisation_id, staged)


async def _hold(session: AsyncSession, owner: ArtifactOwner, hashes: Any) -> None:
    """Note it, and keep whoever removes content away from it; always in the same order, so that two wait in turn."""
    ordered = [{"organisation_id": owner.organisation_id, "sha256": each} for each in sorted(set(hashes))]
    if ordered:
        statement = insert(ArtifactLeftoverRow).values([{**each, "due_at": _DUE} for each in ordered])
        again = statement.on_conflict_do_update(
            index_elements=["organisation_id", "sha256"], set_={"due_at": statement.excluded.due_at}
        )
        await session.execute(again)


async def _insert(session: AsyncSession, owner: ArtifactOwner, added: Sequence[NewArtifact]) -> None:
    values = [
        {
            "id": each.id,
            "organisation_id": owner.organisation_id,
            "subject_id": owner.id,
            "name": each.name,
            "media_type": each.media_type,
            "bytes": each.staged.bytes,
            "sha256": each.staged.sha256,
        }
        for each in added
    ]
    await session.execute(insert(ArtifactRow).values(values))


async def _check(session: AsyncSession, limits: ArtifactLimits, owner: ArtifactOwner) -> None:
    """With what was just added; the row of the organisation's usage is held since then."""
    mine = ArtifactRow.subject_id == owner.id
    counted = select(func.count(), func.coalesce(func.sum(ArtifactRow.bytes), 0)).where(mine)
    count, of_task = (await session.execute(counted)).one()
    if count > MAX_ARTIFACTS:
        told = f"The task has {MAX_ARTIFACTS:,} artifacts, which is the most."
        raise ArtifactError(told, field="name", remedy="Give fewer names: what is put again replaces.")
    if of_task > limits.of_task:
        raise too_much("A task", limits.of_task, "PAVO_ARTIFACTS_TASK_MB")
    used = select(ArtifactUsageRow.bytes).where(ArtifactUsageRow.organisation_id == owner.organisation_id)
    if (await session.scalars(used)).one() > limits.of_organisation:
        raise too_much("An organisation", limits.of_organisation, "PAVO_ARTIFACTS_ORGANISATION_MB")
