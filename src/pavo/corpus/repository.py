"""SQL of the corpus slice. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.corpus.domain import CorpusEntry, CorpusHit, CorpusText, Document
from pavo.corpus.models import CorpusDocumentRow
from pavo.kit.ids import new_id
from pavo.kit.pagination import Cursor

_SEARCH = text(
    r"""
    WITH words AS (
        -- Any of the words may match: a title and a prompt together hold more words than any one document. They are
        -- taken from to_tsvector, not parsed as a query, so that no operator in them means anything.
        SELECT (string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | '))::tsquery AS query
        FROM (
            SELECT lexeme FROM unnest(to_tsvector('english', :query)) ORDER BY positions[1], lexeme LIMIT :words
        ) AS first
    ), best AS (
        SELECT id, title, body, created_at, query, ts_rank_cd(search, query, 1) AS rank
        FROM corpus_documents, words
        WHERE organisation_id = :organisation_id AND search @@ query
        ORDER BY rank DESC, created_at, id
        LIMIT :limit
    )
    SELECT id, title, ts_headline('english', left(body, :looked_at), query, :headline), rank
    FROM best ORDER BY rank DESC, created_at, id
    """
).bindparams(
    bindparam("words", 100),
    bindparam("looked_at", 100_000),
    bindparam("headline", 'StartSel="", StopSel="", MaxFragments=2, MinWords=8, MaxWords=32, FragmentDelimiter=" … "'),
)
"""Beyond 100 distinct words a query costs more and finds the same; a headline is looked for in the first 100,000
characters only, because finding it parses the text anew."""


async def search(session: AsyncSession, organisation_id: uuid.UUID, query: str, limit: int) -> Sequence[CorpusHit]:
    """Which documents hold any of the query's words? The best first."""
    parameters = {"organisation_id": organisation_id, "query": query, "limit": limit}
    rows = (await session.execute(_SEARCH, parameters)).all()
    return [CorpusHit(row[0], row[1], " ".join(row[2].split()), float(row[3])) for row in rows]


async def add(session: AsyncSession, organisation_id: uuid.UUID, document: Document) -> tuple[uuid.UUID, bool]:
    """The document's id, and whether it was inserted: False if the organisation has it already."""
    statement = (
        insert(CorpusDocumentRow)
        .values(
            id=new_id(),
            organisation_id=organisation_id,
            title=document.title,
            body=document.body,
            source=document.source,
            content_hash=document.content_hash,
        )
        .on_conflict_do_nothing(index_elements=["organisation_id", "content_hash"])
        .returning(CorpusDocumentRow.id)
    )
    inserted = (await session.scalars(statement)).one_or_none()
    if inserted is not None:
        return inserted, True
    same = (
        CorpusDocumentRow.organisation_id == organisation_id,
        CorpusDocumentRow.content_hash == document.content_hash,
    )
    return (await session.scalars(select(CorpusDocumentRow.id).where(*same))).one(), False


async def count(session: AsyncSession, organisation_id: uuid.UUID) -> int:
    """How many documents does the organisation have?"""
    statement = select(func.count()).where(CorpusDocumentRow.organisation_id == organisation_id)
    return (await session.execute(statement)).scalar_one()


_ENTRY = select(
    CorpusDocumentRow.id,
    CorpusDocumentRow.title,
    CorpusDocumentRow.source,
    func.octet_length(CorpusDocumentRow.body),
    CorpusDocumentRow.created_at,
)


async def entries(session: AsyncSession, organisation_id: uuid.UUID) -> Sequence[CorpusEntry]:
    """The organisation's documents without their texts, by title."""
    statement = _ENTRY.where(CorpusDocumentRow.organisation_id == organisation_id)
    rows = (await session.execute(statement.order_by(CorpusDocumentRow.title, CorpusDocumentRow.id))).all()
    return [CorpusEntry(*row) for row in rows]


async def newest(
    session: AsyncSession, organisation_id: uuid.UUID, before: Cursor | None, limit: int
) -> list[CorpusEntry]:
    """Documents without their texts, newest first, after those that a page before has shown."""
    place = tuple_(CorpusDocumentRow.created_at, CorpusDocumentRow.id)
    statement = _ENTRY.where(CorpusDocumentRow.organisation_id == organisation_id).limit(limit)
    if before is not None:
        statement = statement.where(place < (before.created_at, before.id))
    ordered = statement.order_by(CorpusDocumentRow.created_at.desc(), CorpusDocumentRow.id.desc())
    return [CorpusEntry(*row) for row in (await session.execute(ordered)).all()]


async def one(session: AsyncSession, organisation_id: uuid.UUID, document_id: uuid.UUID) -> CorpusText | None:
    """One document with its text."""
    mine = (CorpusDocumentRow.organisation_id == organisation_id, CorpusDocumentRow.id == document_id)
    row = (await session.execute(_ENTRY.add_columns(CorpusDocumentRow.body).where(*mine))).one_or_none()
    return None if row is None else CorpusText(CorpusEntry(row[0], row[1], row[2], row[3], row[4]), row[5])


async def remove(session: AsyncSession, organisation_id: uuid.UUID, document_id: uuid.UUID) -> bool:
    """Remove a document; False if there is none."""
    mine = (CorpusDocumentRow.organisation_id == organisation_id, CorpusDocumentRow.id == document_id)
    statement = delete(CorpusDocumentRow).where(*mine).returning(CorpusDocumentRow.id)
    return (await session.scalars(statement)).one_or_none() is not None
