"""SQL of the changes that those who watch an organisation are told. Works in its caller's session."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.live.cursors import ChangeCursor
from pavo.jobs.live.domain import Change

KEPT: Final = timedelta(days=1)
"""Who was away for longer reads the queue anew."""
PRUNED_AT_ONCE: Final = 5_000

_OLDEST: Final = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
"""Every transaction below it has ended: nothing comes in there any more."""
_NOW: Final = text(f"SELECT {_OLDEST} AS xid, extract(epoch FROM pavo_now())::bigint AS seconds")
_AFTER: Final = text(f"""
SELECT c.xid, c.id, c.at, extract(epoch FROM c.at)::bigint AS seconds, c.job_id, c.data, j.title, a.name AS agent
FROM job_changes c LEFT JOIN jobs j ON j.id = c.job_id
LEFT JOIN remote_agents a ON a.id = CAST(c.data ->> 'agent_id' AS uuid)
WHERE c.organisation_id = :organisation AND (c.xid, c.id) > (:xid, :id) AND c.xid < {_OLDEST}
ORDER BY c.xid, c.id LIMIT :most
""")
_NEWEST: Final = text(f"""
SELECT o.id, n.xid, n.number FROM unnest(:organisations) AS o(id) CROSS JOIN LATERAL (
    SELECT c.xid, c.id AS number FROM job_changes c WHERE c.organisation_id = o.id AND c.xid < {_OLDEST}
    ORDER BY c.xid DESC, c.id DESC LIMIT 1
) n
""").bindparams(bindparam("organisations", type_=ARRAY(Uuid)))
Place: TypeAlias = tuple[int, int]
"""Of a change among those of its organisation: (xid, id)."""
_PRUNE: Final = text("""
DELETE FROM job_changes WHERE ctid = ANY (ARRAY(
    SELECT c.ctid FROM job_changes c WHERE c.at < pavo_now() - CAST(:kept AS interval) ORDER BY c.at LIMIT :count
))
""")


async def here(session: AsyncSession) -> ChangeCursor:
    """After all changes that can be read at this moment."""
    row = (await session.execute(_NOW)).one()
    return ChangeCursor(row.xid, 0, row.seconds)


async def after(session: AsyncSession, organisation_id: uuid.UUID, cursor: ChangeCursor, most: int) -> Sequence[Change]:
    """So many changes after a cursor, in order."""
    values = {"organisation": organisation_id, "xid": cursor.xid, "id": cursor.id, "most": most}
    return [_change(row) for row in (await session.execute(_AFTER, values)).all()]


async def newest(session: AsyncSession, organisation_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Place]:
    """The last change of each that can be read; those that have none are left out."""
    rows = await session.execute(_NEWEST, {"organisations": list(organisation_ids)})
    return {row.id: (row.xid, row.number) for row in rows}


async def prune(session: AsyncSession) -> int:
    """Remove changes that nobody resumes from any more, a bounded number at once; how many."""
    result: Any = await session.execute(_PRUNE, {"kept": KEPT, "count": PRUNED_AT_ONCE})
    return int(result.rowcount)


def _change(row: Any) -> Change:
    return Change(ChangeCursor(row.xid, row.id, row.seconds), row.at, row.job_id, row.title, row.agent, row.data)
