"""Reading transcripts: what other slices call."""

import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.kit.json_values import decode
from pavo.transcripts.domain import TranscriptMessage, Window

_FORWARD: Final = text("""
SELECT position, body, version, step, at FROM (
    SELECT m.*, sum(bytes) OVER (ORDER BY position) AS so_far, row_number() OVER (ORDER BY position) AS number FROM (
        SELECT * FROM transcript_messages WHERE subject_id = :subject AND position > :after
        ORDER BY position LIMIT :limit
    ) m
) sized WHERE so_far <= :bytes OR number = 1 ORDER BY position
""")
_NEWEST: Final = text("""
SELECT position, body, version, step, at FROM (
    SELECT m.*, sum(bytes) OVER (ORDER BY position DESC) AS so_far,
        row_number() OVER (ORDER BY position DESC) AS number FROM (
        SELECT * FROM transcript_messages WHERE subject_id = :subject AND position > :after
        ORDER BY position DESC LIMIT :limit
    ) m
) sized WHERE so_far <= :bytes OR number = 1 ORDER BY position
""")
_COUNT: Final = text("SELECT coalesce(max(position), 0) FROM transcript_messages WHERE subject_id = :subject")


async def window(session: AsyncSession, subject_id: uuid.UUID, wanted: Window) -> Sequence[TranscriptMessage]:
    """These messages, by position. What a window leaves out is not read: bodies lie apart where they are large."""
    values = {"subject": subject_id, "after": wanted.after, "limit": wanted.limit, "bytes": wanted.max_bytes}
    rows = await session.execute(_NEWEST if wanted.newest else _FORWARD, values)
    return [TranscriptMessage(position, decode(body), *rest) for position, body, *rest in rows]


async def count(session: AsyncSession, subject_id: uuid.UUID) -> int:
    """How many messages there are: the position of the last one."""
    found: int = (await session.execute(_COUNT, {"subject": subject_id})).scalar_one()
    return found
