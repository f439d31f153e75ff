"""SQL of the corpus slice. Every function works in its caller's session and commits nothing."""

import uuid
from collections.abc import Sequence

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.corpus.domain import CorpusEntry, CorpusHit, Document
from pavo.corpus.models import CorpusDocumentRow
from pavo.kit.ids import new_id

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


async def add(session: AsyncSession, organisation_id: uuid.UUID, document: Document) -> bool:
    """Insert the document; False if the organisation has it already."""
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
    return (await session.execute(statement)).scalar_one_or_none() is not None


async def count(session: AsyncSession, organisation_id: uuid.UUID) -> int:
    """How many documents does the organisation have?"""
    statement = select(func.count()).where(CorpusDocumentRow.organisation_id == organisation_id)
    return (await session.execute(statement)).scalar_one()


async def entries(session: AsyncSession, organisation_id: uuid.UUID) -> Sequence[CorpusEntry]:
    """The organisation's documents without their texts, by title."""
    statement = (
        select(
            CorpusDocumentRow.id,
            CorpusDocumentRow.title,
            CorpusDocumentRow.source,
            func.octet_length(CorpusDocumentRow.body),
            CorpusDocumentRow.created_at,
        )
        .where(CorpusDocumentRow.organisation_id == organisation_id)
        .order_by(CorpusDocumentRow.title, CorpusDocumentRow.id)
    )
    return [CorpusEntry(*row) for row in (await session.execute(statement)).all()]
