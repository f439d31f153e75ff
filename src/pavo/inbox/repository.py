"""SQL of the inbox: one page of what waits for people, and how much there is. It only reads."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pavo.gates.domain import TASK
from pavo.kit.pagination import Cursor
from pavo.runs.subjects import Subjects

EXCERPT: Final = 500
"""Characters of what is asked or went wrong, so that a page of 200 has half a megabyte at most."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits for a person."""

    id: uuid.UUID
    """Of the gate, or of the subject."""
    kind: str
    """question | approval | plan | review | failure."""
    organisation_id: uuid.UUID
    subject_kind: str
    """What it is about: the noun of a kind of durable work."""
    subject_id: uuid.UUID
    title: str
    """Of the subject."""
    agent_type: str
    """Of a task; the program of a job."""
    created_by: uuid.UUID | None
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

    @property
    def task_id(self) -> uuid.UUID | None:
        """The subject where it is a task."""
        return self.subject_id if self.subject_kind == TASK else None


# What is deleted waits for nobody.
_ALL: Final = """
WITH subjects AS NOT MATERIALIZED (SELECT * FROM {subjects} s), waiting AS (
    SELECT CASE WHEN g.kind IN ('approval', 'plan') THEN g.kind ELSE 'question' END AS kind, g.id, s.noun,
        s.id AS subject_id, g.opened_at AS since
    FROM gates g JOIN subjects s ON s.id = g.subject_id
    WHERE g.organisation_id = ANY (:organisations) AND g.state = 'open'
      AND (CAST(:created_by AS uuid) IS NULL OR s.created_by = :created_by)
      AND (CAST(:subject_id AS uuid) IS NULL OR s.id = :subject_id)
      AND (CAST(:answers AS uuid) IS NULL OR g.may_answer = 'member' OR EXISTS (
          SELECT FROM memberships m
          WHERE m.organisation_id = g.organisation_id AND m.user_id = :answers AND m.role = 'owner'))
    UNION ALL
    SELECT 'failure', s.id, s.noun, s.id, s.failed_since
    FROM subjects s
    WHERE s.organisation_id = ANY (:organisations) AND s.failed
      AND (CAST(:created_by AS uuid) IS NULL OR s.created_by = :created_by)
      AND (CAST(:subject_id AS uuid) IS NULL OR s.id = :subject_id)
    UNION ALL
    SELECT 'review', t.id, 'task', t.id, t.updated_at
    FROM tasks t
    WHERE t.organisation_id = ANY (:organisations) AND t.stage = 'WAIT_RFC' AND t.deleted_at IS NULL
      AND (CAST(:created_by AS uuid) IS NULL OR t.created_by = :created_by)
      AND (CAST(:subject_id AS uuid) IS NULL OR t.id = :subject_id)
), wanted AS (
    SELECT * FROM waiting
    WHERE (CAST(:kind AS text) IS NULL OR kind = :kind)
      AND (CAST(:task_id AS uuid) IS NULL OR noun = 'task' AND subject_id = :task_id)
)
"""
_PAGE: Final = """
, page AS (
    SELECT * FROM wanted
    WHERE CAST(:after_id AS uuid) IS NULL
       OR (since, id) {beyond} (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
    ORDER BY since {order}, id {order} LIMIT :limit
)
SELECT p.id, p.kind, s.organisation_id, s.noun AS subject_kind, s.id AS subject_id, s.title, s.worker AS agent_type,
    s.created_by, p.since,
    left(coalesce(g.body, CASE p.kind WHEN 'failure' THEN s.cause END, ''), :excerpt) AS text,
    g.key, coalesce(g.hash, d.hash) AS hash, coalesce(g.may_answer, 'member') AS may_answer, g.expires_at,
    d.id AS document_id, d.version
FROM page p
JOIN subjects s ON s.id = p.subject_id AND s.noun = p.noun
LEFT JOIN gates g ON p.kind NOT IN ('failure', 'review') AND g.id = p.id
LEFT JOIN LATERAL (
    SELECT d.id, d.hash, d.version FROM documents d
    WHERE p.kind = 'review' AND d.task_id = s.id AND d.kind = 'PLAN' AND d.status = 'REVIEW'
    ORDER BY d.version DESC LIMIT 1
) d ON true
ORDER BY p.since {order}, p.id {order}
"""
_COUNT: Final = "SELECT count(*) FROM wanted"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of what waits is wanted."""

    organisation_ids: Sequence[uuid.UUID]
    created_by: uuid.UUID | None = None
    """Of what this user created."""
    kind: str | None = None
    subject_id: uuid.UUID | None = None
    task_id: uuid.UUID | None = None
    """Of the subject that is this task."""
    answers: uuid.UUID | None = None
    """What this user may answer."""

    def values(self) -> dict[str, Any]:
        """As the statements take it."""
        who = {"created_by": self.created_by, "answers": self.answers}
        which = {"kind": self.kind, "subject_id": self.subject_id or self.task_id, "task_id": self.task_id}
        return {"organisations": list(self.organisation_ids), **which, **who}


_OF_ORGANISATIONS: Final = bindparam("organisations", type_=ARRAY(Uuid))


class WaitingRows:
    """What waits among the rows of several kinds, and plans of tasks under review."""

    def __init__(self, subjects: Subjects) -> None:
        def statement(rest: str) -> TextClause:
            return text(_ALL.format(subjects=subjects.sql) + rest).bindparams(_OF_ORGANISATIONS)

        self._oldest = statement(_PAGE.format(beyond=">", order="ASC"))
        self._newest = statement(_PAGE.format(beyond="<", order="DESC"))
        self._count = statement(_COUNT)

    async def page(
        self, session: AsyncSession, chosen: Chosen, *, after: Cursor | None, limit: int, newest_first: bool
    ) -> Sequence[Waiting]:
        """A page, in this order of how long it waits."""
        place = {"after_at": after.created_at if after else None, "after_id": after.id if after else None}
        values = {**chosen.values(), **place, "limit": limit, "excerpt": EXCERPT}
        rows = await session.execute(self._newest if newest_first else self._oldest, values)
        return [Waiting(**row) for row in rows.mappings()]

    async def count(self, session: AsyncSession, chosen: Chosen) -> int:
        """How much there is on all pages."""
        return (await session.scalars(self._count, chosen.values())).one()
