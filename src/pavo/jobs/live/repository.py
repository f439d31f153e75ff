"""SQL of the changes that those who watch an organisation are told. Works in its caller's session."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import BigInteger, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.live.cursors import ChangeCursor
from pavo.jobs.live.domain import AddedLine, Addition, Change
from pavo.jobs.logs.repository import line_of

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
_WITH_ADDITIONS: Final = text(f"""
SELECT e.*, extract(epoch FROM e.at)::bigint AS seconds, j.title, a.name AS agent FROM (
    (SELECT c.xid, c.id, c.at, c.job_id, c.data, NULL::bigint AS epoch, NULL::bigint AS first_seq,
        NULL::bigint AS last_seq FROM job_changes c
    WHERE c.organisation_id = :organisation AND (c.xid, c.id) > (:xid, :id) AND c.xid < {_OLDEST}
    ORDER BY c.xid, c.id LIMIT :most)
    UNION ALL
    (SELECT l.xid, l.id, l.at, l.job_id, NULL, l.epoch, l.first_seq, l.last_seq FROM job_log_additions l
    WHERE l.organisation_id = :organisation AND (l.xid, l.id) >= (:xid, :from) AND l.xid < {_OLDEST}
    ORDER BY l.xid, l.id LIMIT :most)
) e LEFT JOIN jobs j ON j.id = e.job_id LEFT JOIN remote_agents a ON a.id = CAST(e.data ->> 'agent_id' AS uuid)
ORDER BY e.xid, e.id LIMIT :most
""")
_ARRAYS: Final = {"numbers": BigInteger, "jobs": Uuid, "epochs": BigInteger, "firsts": BigInteger, "lasts": BigInteger}
# Each by the primary key, whatever is thought of the table's size.
_LINES: Final = text("""
SELECT g.number, l.* FROM unnest(:numbers, :jobs, :epochs, :firsts, :lasts) AS g (number, job_id, epoch, first, last)
JOIN jobs j ON j.id = g.job_id AND j.organisation_id = :organisation AND j.deleted_at IS NULL
CROSS JOIN LATERAL (
    SELECT s.epoch, s.seq, s.at, s.stage, s.level, s.source, s.text, s.event, s.gap FROM job_logs s
    WHERE s.job_id = g.job_id AND s.epoch = g.epoch AND s.seq BETWEEN g.first AND g.last
    ORDER BY s.seq LIMIT g.last - g.first + 1
) l WHERE l.level = ANY (:levels) ORDER BY g.number, l.seq
""").bindparams(
    bindparam("levels", type_=ARRAY(Text)), *(bindparam(name, type_=ARRAY(of)) for name, of in _ARRAYS.items())
)


def _newest(table: str) -> Any:
    return text(f"""
    SELECT o.id, n.xid, n.number FROM unnest(:organisations) AS o(id) CROSS JOIN LATERAL (
        SELECT c.xid, c.id AS number FROM {table} c WHERE c.organisation_id = o.id AND c.xid < {_OLDEST}
        ORDER BY c.xid DESC, c.id DESC LIMIT 1
    ) n
    """).bindparams(bindparam("organisations", type_=ARRAY(Uuid)))


def _prune(table: str) -> Any:
    return text(f"""
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT c.ctid FROM {table} c WHERE c.at < pavo_now() - CAST(:kept AS interval) ORDER BY c.at LIMIT :count
    ))
    """)


_NEWEST: Final = _newest("job_changes")
_NEWEST_ADDITION: Final = _newest("job_log_additions")
_PRUNE: Final = (_prune("job_changes"), _prune("job_log_additions"))
Place: TypeAlias = tuple[int, int]
"""Of a change among those of its organisation, or of an addition among those of its logs: (xid, id)."""


async def here(session: AsyncSession) -> ChangeCursor:
    """After all changes that can be read at this moment."""
    row = (await session.execute(_NOW)).one()
    return ChangeCursor(row.xid, 0, row.seconds)


async def after(session: AsyncSession, organisation_id: uuid.UUID, cursor: ChangeCursor, most: int) -> Sequence[Change]:
    """So many changes after a cursor, in order."""
    values = {"organisation": organisation_id, "xid": cursor.xid, "id": cursor.id, "most": most}
    return [_change(row) for row in (await session.execute(_AFTER, values)).all()]


async def with_additions(
    session: AsyncSession, organisation_id: uuid.UUID, cursor: ChangeCursor, most: int
) -> Sequence[Change | Addition]:
    """So many changes and additions to logs after a cursor, in order; first the one within which it is."""
    values = {"organisation": organisation_id, "xid": cursor.xid, "id": cursor.id, "most": most}
    values["from"] = cursor.id if cursor.line else cursor.id + 1
    rows = (await session.execute(_WITH_ADDITIONS, values)).all()
    return [_change(row) if row.epoch is None else _addition(row) for row in rows]


async def lines(
    session: AsyncSession, organisation_id: uuid.UUID, additions: Sequence[Addition], levels: Sequence[str]
) -> Sequence[Sequence[AddedLine]]:
    """Of each addition the lines of these levels, as far as they are still there and their job is not deleted."""
    values = {
        "organisation": organisation_id,
        "levels": list(levels),
        "numbers": list(range(len(additions))),
        "jobs": [each.job_id for each in additions],
        "epochs": [each.epoch for each in additions],
        "firsts": [each.first for each in additions],
        "lasts": [each.last for each in additions],
    }
    found: list[list[AddedLine]] = [[] for _ in additions]
    for row in (await session.execute(_LINES, values)).all():
        number: int = row.number
        addition = additions[number]
        found[number].append(AddedLine(addition.place(row.seq), addition.job_id, line_of(row)))
    return found


async def newest(session: AsyncSession, organisation_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Place]:
    """The last change of each that can be read; those that have none are left out."""
    rows = await session.execute(_NEWEST, {"organisations": list(organisation_ids)})
    return {row.id: (row.xid, row.number) for row in rows}


async def newest_addition(session: AsyncSession, organisation_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Place]:
    """The same of what was added to their logs."""
    rows = await session.execute(_NEWEST_ADDITION, {"organisations": list(organisation_ids)})
    return {row.id: (row.xid, row.number) for row in rows}


async def prune(session: AsyncSession) -> bool:
    """Remove what nobody resumes from any more, a bounded number of rows at once; whether more may be left."""
    more = False
    for each in _PRUNE:
        result: Any = await session.execute(each, {"kept": KEPT, "count": PRUNED_AT_ONCE})
        more = more or result.rowcount == PRUNED_AT_ONCE
    return more


def _change(row: Any) -> Change:
    return Change(ChangeCursor(row.xid, row.id, row.seconds), row.at, row.job_id, row.title, row.agent, row.data)


def _addition(row: Any) -> Addition:
    return Addition(ChangeCursor(row.xid, row.id, row.seconds), row.job_id, row.epoch, row.first_seq, row.last_seq)
