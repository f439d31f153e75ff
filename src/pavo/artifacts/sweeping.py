"""Removes content that nothing names any more, and what writers that died have left.

What may be left over is noted before (`recording.announce`, and a trigger where a name goes). A sweep holds such notes,
looks whether anything names the content, removes it where nothing does, and only then lets go: whoever is to give it a
name waits, and puts the content there again. Notes may lack after a restore, or after a crash of the machine: so now
and then all that lies in the store is looked through.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import delete, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.artifacts.domain import SWEEP_LOCK
from pavo.artifacts.models import ArtifactLeftoverRow, ArtifactRow
from pavo.artifacts.store import BlobStore
from pavo.errors import Unavailable
from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 15.0
LOOK_THROUGH_SECONDS: Final = 6 * 3600.0
"""Between two looks through the whole store."""
_AT_ONCE: Final = 200
_ROUNDS: Final = 50
"""Transactions of one sweep at most; the next one goes on."""

_LATER: Final = text("pavo_now() + interval '10 minutes'")
"""When what could not be removed is tried again."""
_ALONE: Final = text(f"SELECT pg_try_advisory_xact_lock({SWEEP_LOCK})")
_KNOWN: Final = text("SELECT id FROM organisations WHERE id = ANY(:ids)")


async def sweep(database: Database, store: BlobStore) -> int:
    """One sweep of what is noted; how much content was removed.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    removed = 0
    for _ in range(_ROUNDS):
        async with database.transaction() as session:
            if not (await session.scalars(_ALONE)).one():
                break  # a backup copies, or another worker sweeps
            looked, gone = await _sweep_some(session, store)
        removed += gone
        if looked < _AT_ONCE:
            break
    return removed


async def look_through(database: Database, store: BlobStore) -> int:
    """Note all content that nothing names; how much that is. Only what belongs to organisations of this database:
    others may share the store.

    Raises:
        Unavailable: PostgreSQL is away.
    """
    noted, contents = 0, store.contents()
    while (found := await asyncio.to_thread(next, contents, None)) is not None:
        organisation_id, hashes = found
        for start in range(0, len(hashes), _AT_ONCE):
            noted += await _note(database, organisation_id, hashes[start : start + _AT_ONCE])
    return noted


async def keep_sweeping(database: Database, store: BlobStore) -> None:
    """Sweep after sweep, until it is cancelled."""
    looked = 0.0
    while True:
        try:
            await asyncio.to_thread(store.forget_drafts)
            if not looked or time.monotonic() - looked > LOOK_THROUGH_SECONDS:
                looked = time.monotonic()
                await look_through(database, store)
            await sweep(database, store)
        except Unavailable as error:
            logger.info("Artifacts that are not needed any more are kept for now: %s", error)
        except Exception:
            logger.exception("Artifacts that are not needed any more cannot be removed.")
        await asyncio.sleep(EVERY_SECONDS)


async def _sweep_some(session: AsyncSession, store: BlobStore) -> tuple[int, int]:
    """How many notes were looked at, and how many contents removed."""
    due = select(ArtifactLeftoverRow.organisation_id, ArtifactLeftoverRow.sha256)
    due = due.where(ArtifactLeftoverRow.due_at <= text("pavo_now()")).order_by(ArtifactLeftoverRow.due_at)
    held: Any = (await session.execute(due.limit(_AT_ONCE).with_for_update(skip_locked=True))).all()
    if not held:
        return 0, 0
    # A statement of its own, so that it sees what was committed before the notes were held.
    named = select(ArtifactRow.organisation_id, ArtifactRow.sha256)
    named = named.where(tuple_(ArtifactRow.organisation_id, ArtifactRow.sha256).in_([tuple(each) for each in held]))
    needed = {tuple(each) for each in (await session.execute(named)).all()}
    gone = [tuple(each) for each in held if tuple(each) not in needed]
    left = await asyncio.to_thread(_remove, store, gone)
    key = tuple_(ArtifactLeftoverRow.organisation_id, ArtifactLeftoverRow.sha256)
    done = [tuple(each) for each in held if tuple(each) not in left]
    await session.execute(delete(ArtifactLeftoverRow).where(key.in_(done)))
    if left:
        await session.execute(update(ArtifactLeftoverRow).where(key.in_(left)).values(due_at=_LATER))
    return len(held), len(gone) - len(left)


def _remove(store: BlobStore, gone: Sequence[tuple[uuid.UUID, str]]) -> set[tuple[uuid.UUID, str]]:
    """What could not be removed: it holds up nothing else."""
    left: dict[tuple[uuid.UUID, str], OSError] = {}
    for organisation_id, sha256 in gone:
        try:
            store.remove(organisation_id, sha256)
        except OSError as error:
            left[organisation_id, sha256] = error
    if left:
        why = next(iter(left.values()))
        logger.warning("%d contents that nothing needs cannot be removed, and are tried again: %s", len(left), why)
    return set(left)


async def _note(database: Database, organisation_id: uuid.UUID, hashes: Sequence[str]) -> int:
    async with database.transaction() as session:
        if not (await session.scalars(_KNOWN, {"ids": [organisation_id]})).all():
            return 0
        mine = ArtifactRow.organisation_id == organisation_id
        named = (await session.scalars(select(ArtifactRow.sha256).where(mine, ArtifactRow.sha256.in_(hashes)))).all()
        unnamed = sorted(set(hashes) - set(named))
        if unnamed:
            values = [{"organisation_id": organisation_id, "sha256": each} for each in unnamed]
            await session.execute(insert(ArtifactLeftoverRow).values(values).on_conflict_do_nothing())
        return len(unnamed)
