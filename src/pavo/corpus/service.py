"""Use cases of the corpus: add documents, show, remove and search them, begin with the sample."""

import uuid
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from sqlalchemy.exc import DBAPIError

from pavo.corpus import repository
from pavo.corpus.domain import (
    CorpusEntry,
    CorpusHit,
    CorpusText,
    Document,
    clean_query,
    document_from_bytes,
    make_document,
)
from pavo.errors import NotFound, TooLarge
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database

MAX_HITS: Final = 100
"""Hits of one search at most."""

TOO_MANY_WORDS: Final = "54000"
"""SQLSTATE program_limit_exceeded: the words of a document do not fit into PostgreSQL's index of 1 MB."""


class CorpusService:
    """An organisation's documents.

    Args:
        database: Pavo's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, organisation_id: uuid.UUID, title: str, body: str, source: str) -> bool:
        """Add a document. Returns False, changing nothing, if the organisation has this very one.

        Raises:
            TooLarge: more than 1 MB, or more different words than can be indexed.
            InvalidInput: title or text are empty or no text.
        """
        return (await self._add(organisation_id, make_document(title, body, source)))[1]

    async def put(self, organisation_id: uuid.UUID, title: str, body: str, source: str) -> tuple[CorpusEntry, bool]:
        """As `add`; the document, and whether it is new."""
        document_id, new = await self._add(organisation_id, make_document(title, body, source))
        return (await self.get(organisation_id, document_id)).entry, new

    async def add_file(self, organisation_id: uuid.UUID, name: str, content: bytes) -> bool:
        """Add a file's content; its title is its first Markdown heading, else `name`.

        Raises:
            TooLarge, InvalidInput: as `add`; also InvalidInput if it is not UTF-8. Each names the file.
        """
        return (await self._add(organisation_id, document_from_bytes(name, content)))[1]

    async def _add(self, organisation_id: uuid.UUID, document: Document) -> tuple[uuid.UUID, bool]:
        try:
            async with self._database.transaction() as session:
                return await repository.add(session, organisation_id, document)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != TOO_MANY_WORDS:
                raise
            raise TooLarge(
                f"{document.source}: the document has more different words than can be indexed.",
                field="body",
                remedy="Split it into several documents.",
            ) from error

    async def search(self, organisation_id: uuid.UUID, query: str, limit: int = 10) -> list[CorpusHit]:
        """The organisation's documents that hold any of the query's words, best first; any text is a query."""
        text = clean_query(query)
        async with self._database.reading() as session:
            return list(await repository.search(session, organisation_id, text, max(0, min(limit, MAX_HITS))))

    async def count(self, organisation_id: uuid.UUID) -> int:
        """How many documents the organisation has."""
        async with self._database.reading() as session:
            return await repository.count(session, organisation_id)

    async def entries(self, organisation_id: uuid.UUID) -> Sequence[CorpusEntry]:
        """The organisation's documents without their texts, by title."""
        async with self._database.reading() as session:
            return await repository.entries(session, organisation_id)

    async def page(self, organisation_id: uuid.UUID, cursor: str | None, limit: int) -> Page[CorpusEntry]:
        """Documents without their texts, newest first.

        Raises:
            InvalidInput: the cursor is none.
        """
        before = None if cursor is None else Cursor.decode(cursor)
        async with self._database.reading() as session:
            found = await repository.newest(session, organisation_id, before, limit + 1)
        items = found[:limit]
        more = len(found) > limit
        return Page(items, Cursor(items[-1].created_at, items[-1].id).encode() if more else None)

    async def get(self, organisation_id: uuid.UUID, document_id: uuid.UUID) -> CorpusText:
        """A document with its text.

        Raises:
            NotFound: the organisation has none with this id.
        """
        async with self._database.reading() as session:
            found = await repository.one(session, organisation_id, document_id)
        if found is None:
            raise _unknown()
        return found

    async def remove(self, organisation_id: uuid.UUID, document_id: uuid.UUID) -> None:
        """Remove a document: no search finds it any more.

        Raises:
            NotFound: the organisation has none with this id.
        """
        async with self._database.transaction() as session:
            if not await repository.remove(session, organisation_id, document_id):
                raise _unknown()

    async def ensure_sample(self, organisation_id: uuid.UUID) -> int:
        """Give an organisation without documents the sample ones, so that a first search finds something.

        Returns: how many were added; 0 if it has documents.
        """
        if await self.count(organisation_id):
            return 0
        documents = [document_from_bytes(name, content) for name, content in sample_files()]
        async with self._database.transaction() as session:
            return sum([(await repository.add(session, organisation_id, document))[1] for document in documents])


def _unknown() -> NotFound:
    return NotFound("There is no such document.", field="document_id", remedy="List the organisation's documents.")


def sample_files() -> list[tuple[str, bytes]]:
    """Name and content of every shipped sample document, by name."""
    folder = files("pavo.corpus").joinpath("sample")
    return sorted(
        (f"sample/{entry.name}", entry.read_bytes()) for entry in folder.iterdir() if entry.name[-3:] == ".md"
    )
