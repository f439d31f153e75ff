"""Wire shapes of the corpus."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from pavo.corpus.domain import MAX_DOCUMENT_BYTES, MAX_SOURCE, MAX_TITLE


class CorpusDocumentIn(BaseModel):
    """A document."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    title: str = Field(max_length=MAX_TITLE)
    body: str = Field(max_length=MAX_DOCUMENT_BYTES)
    """Its text, of at most 1 MB in UTF-8."""
    source: str = Field("", max_length=MAX_SOURCE)
    """Where it comes from: a file's name, an address."""


class CorpusDocumentOut(BaseModel):
    """A document without its text."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: uuid.UUID
    title: str
    source: str
    size: int
    """Bytes of its text."""
    created_at: datetime


class CorpusTextOut(CorpusDocumentOut):
    """A document with its text."""

    body: str


class CorpusPage(BaseModel):
    """A page of documents."""

    items: list[CorpusDocumentOut]
    next_cursor: str | None


class CorpusHitOut(BaseModel):
    """A document that matches."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: uuid.UUID
    title: str
    excerpt: str
    rank: float
    """Grows with relevance, and means nothing across queries."""


class CorpusHits(BaseModel):
    """What a search finds, the best first."""

    items: list[CorpusHitOut]
