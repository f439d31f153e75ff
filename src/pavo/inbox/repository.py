"""SQL of the inbox: one page of what waits for people, and how much there is. It only reads."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pavo.kit.pagination import Cursor

QUESTION: Final = "question"
REVIEW: Final = "review"
FAILURE: Final = "failure"
EXCERPT: Final = 500
"""Characters of what is asked or went wrong, so that a page of 200 has half a megabyte at most."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits for a person."""

    id: uuid.UUID
    """Of the gate, or of the task."""
    kind: str
    """question | approval | review | failure."""
    organisation_id: uuid.UUID
    task_id: uuid.UUID
    title: str
    """Of the task."""
    agent_type: str
    created_by: uuid.UUID
    since: datetime
    text: str
    """The beginning of the question, or of what went wrong; empty for a plan."""
    key: str | None
    hash: str | None
    """Of the gate, or of the plan: an answer names it."""
    may_answer: str
    """Whose answer counts: any member's, or an owner's alone."""
    expires_at: datetime | None
    document_id: uuid.UUID | None
    version: int | None
    """Of the plan."""


# A gate's subject is a task: `tasks` brings the only kind so far. What is deleted waits for nobody.
_ALL: Final = """
WITH waiting AS (
    SELECT CASE g.kind WHEN 'approval' THEN g.kind ELSE 'question' END AS kind, g.id, t.id AS task_id,
        g.opened_at AS since
    FROM gates g JOIN tasks t ON t.id = g.subject_id
    WHERE g.organisation_id = ANY (:organisations) AND g.state = 'open' AND t.deleted_at IS NULL
      AND (CAST(:created_by AS uuid) IS NULL OR t.created_by = :created_by)
      AND (CAST(:task_id AS uuid) IS NULL OR t.id = :task_id)
      AND (CAST(:answers AS uuid) IS NULL OR g.may_answer = 'member' OR EXISTS (
          SELECT FROM memberships m
          WHERE m.organisation_id = g.organisation_id AND m.user_id = :answers AND m.role = 'owner'))
    UNION ALL
    SELECT CASE t.stage WHEN 'FAILED' THEN 'failure' ELSE 'review' END, t.id, t.id, t.updated_at
    FROM tasks t
    WHERE t.organisation_id = ANY (:organisations) AND t.stage IN ('WAIT_RFC', 'FAILED') AND t.deleted_at IS NULL
      AND (CAST(:created_by AS uuid) IS NULL OR t.created_by = :created_by)
      AND (CAST(:task_id AS uuid) IS NULL OR t.id = :task_id)
), wanted AS (
    SELECT * FROM waiting WHERE CAST(:kind AS text) IS NULL OR kind = :kind
)
"""
_PAGE: Final = """
, page AS (
    SELECT * FROM wanted
    WHERE CAST(:after_id AS uuid) IS NULL
       OR (since, id) {beyond} (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
    ORDER BY since {order}, id {order} LIMIT :limit
)
SELECT p.id, p.kind, t.organisation_id, t.id AS task_id, t.title, t.agent_type, t.created_by, p.since,
    left(coalesce(g.body, CASE p.kind WHEN 'failure' THEN t.error ->> 'cause' END, ''), :excerpt) AS text,
    g.key, coalesce(g.hash, d.hash) AS hash, coalesce(g.may_answer, 'member') AS may_answer, g.expires_at,
    d.id AS document_id, d.version
FROM page p
JOIN tasks t ON t.id = p.task_id
LEFT JOIN gates g ON p.kind IN ('question', 'approval') AND g.id = p.id
LEFT JOIN LATERAL (
    SELECT d.id, d.hash, d.version FROM documents d
    WHERE p.kind = 'review' AND d.task_id = t.id AND d.kind = 'PLAN' AND d.status = 'REVIEW'
    ORDER BY d.version DESC LIMIT 1
) d ON true
ORDER BY p.since {order}, p.id {order}
"""
_OF_ORGANISATIONS: Final = bindparam("organisations", type_=ARRAY(Uuid))
_OLDEST: Final = text(_ALL + _PAGE.format(beyond=">", order="ASC")).bindparams(_OF_ORGANISATIONS)
_NEWEST: Final = text(_ALL + _PAGE.format(beyond="<", order="DESC")).bindparams(_OF_ORGANISATIONS)
_COUNT: Final = text(_ALL + "SELECT count(*) FROM wanted").bindparams(_OF_ORGANISATIONS)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of what waits is wanted."""

    organisation_ids: Sequence[uuid.UUID]
    created_by: uuid.UUID | None = None
    """Of tasks that this user created."""
    kind: str | None = None
    task_id: uuid.UUID | None = None
    answers: uuid.UUID | None = None
    """What this user may answer."""

    def values(self) -> dict[str, Any]:
        """As the statements take it."""
        who = {"created_by": self.created_by, "answers": self.answers}
        return {"organisations": list(self.organisation_ids), "kind": self.kind, "task_id": self.task_id, **who}


async def page(
    session: AsyncSession, chosen: Chosen, *, after: Cursor | None, limit: int, newest_first: bool
) -> Sequence[Waiting]:
    """A page, in this order of how long it waits."""
    place = {"after_at": after.created_at if after else None, "after_id": after.id if after else None}
    values = {**chosen.values(), **place, "limit": limit, "excerpt": EXCERPT}
    rows = await session.execute(_NEWEST if newest_first else _OLDEST, values)
    return [Waiting(**row) for row in rows.mappings()]


async def count(session: AsyncSession, chosen: Chosen) -> int:
    """How much there is on all pages."""
    return (await session.scalars(_COUNT, chosen.values())).one()
