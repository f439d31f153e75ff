"""SQL of jobs' logs, as they are read. Works in its caller's session."""

import uuid
from typing import Any, Final

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.logs.domain import LEVELS, LogCursor, LogFilter, LogLine, LogPage
from pavo.jobs.sql.models import JobLogRow, JobRow

_ROW = JobLogRow
PAGE_BYTES: Final = 1_000_000
"""A page ends by so much text as well as by its lines: one has up to 16 KB."""
AT_ONCE: Final = 50
"""Rows of one read, so that little is read beyond the limit of bytes."""


async def page(session: AsyncSession, job_id: uuid.UUID, after: LogCursor, wanted: LogFilter, limit: int) -> LogPage:
    """At most `limit` lines after a cursor, fewer where they are long; one in any case, if there is one."""
    lines, size, cursor = list[LogLine](), 0, after
    while True:
        query = _query(job_id, cursor, wanted).limit(min(AT_ONCE, limit - len(lines) + 1))
        found = [line_of(row) for row in (await session.execute(query)).all()]
        for line in found:
            if len(lines) == limit or (lines and size + len(line.text) > PAGE_BYTES):
                return LogPage(tuple(lines), cursor, more=True)
            lines.append(line)
            size += len(line.text)
            cursor = line.cursor
        if not found:
            return LogPage(tuple(lines), cursor, more=False)


async def stage_of(session: AsyncSession, job_id: uuid.UUID) -> str | None:
    """In which stage is the job? None: it is gone."""
    query = select(JobRow.stage).where(JobRow.id == job_id, JobRow.deleted_at.is_(None))
    return (await session.scalars(query)).one_or_none()


def _query(job_id: uuid.UUID, after: LogCursor, wanted: LogFilter) -> Any:
    columns = (_ROW.epoch, _ROW.seq, _ROW.at, _ROW.stage, _ROW.level, _ROW.source, _ROW.text, _ROW.event, _ROW.gap)
    query = select(*columns).where(_ROW.job_id == job_id, tuple_(_ROW.epoch, _ROW.seq) > (after.epoch, after.seq))
    if wanted.level != LEVELS[0]:
        query = query.where(_ROW.level.in_(wanted.levels))
    if wanted.stage is not None:
        query = query.where(_ROW.stage == wanted.stage)
    if wanted.epoch is not None:
        query = query.where(_ROW.epoch == wanted.epoch)
    return query.order_by(_ROW.epoch, _ROW.seq)


def line_of(row: Any) -> LogLine:
    """What a row of the table, or one with its columns, says."""
    cursor = LogCursor(row.epoch, row.seq)
    return LogLine(cursor, row.at, row.stage, row.level, row.source, row.text, row.event, row.gap)
