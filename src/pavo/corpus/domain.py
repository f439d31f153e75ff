"""Documents and hits, and what makes a text a document. Pure."""

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pavo.errors import InvalidInput, TooLarge

MAX_DOCUMENT_BYTES: Final = 1_000_000
"""Beyond it PostgreSQL's index of a document's words gets near its own limit of 1 MB, and searches get slow."""

MAX_TITLE: Final = 500
"""Characters of a title."""

MAX_SOURCE: Final = 1_000
"""Characters of a source."""

MAX_QUERY: Final = 10_000
"""So many characters of a query are used: enough for a title and a long prompt; what follows seldom adds a new word."""

_HEADING = re.compile(r"^#\s+(?P<title>.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CorpusHit:
    """A document that matches a query; `rank` grows with relevance and means nothing across queries."""

    id: uuid.UUID
    title: str
    excerpt: str
    rank: float


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """A document without its text, as lists show it."""

    id: uuid.UUID
    title: str
    source: str
    size: int
    """Bytes of the text."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CorpusText:
    """A document with its text."""

    entry: CorpusEntry
    body: str


@dataclass(frozen=True, slots=True)
class Document:
    """A text that passed every check."""

    title: str
    body: str
    source: str

    @property
    def content_hash(self) -> str:
        """SHA-256 of title and text in hex: what makes adding a document twice change nothing."""
        return hashlib.sha256(f"{self.title}\0{self.body}".encode()).hexdigest()


def make_document(title: str, body: str, source: str) -> Document:
    """Check a text's title, text and source.

    Raises:
        TooLarge: the text has more than 1 MB, or title or source are too long.
        InvalidInput: title or text are empty, or hold NUL or half characters (lone surrogates).
    """
    document = Document(title.strip(), body, source.strip())
    for field, text in (("title", document.title), ("body", body), ("source", document.source)):
        _check_characters(field, text, source)
    for field, text in (("title", document.title), ("body", body.strip())):
        if not text:
            raise InvalidInput(f"{_where(source)}the {field} is empty.", field=field)
    for field, text, limit in (("title", document.title, MAX_TITLE), ("source", document.source, MAX_SOURCE)):
        if len(text) > limit:
            raise TooLarge(f"{_where(source)}the {field} has more than {limit:,} characters.", field=field)
    if len(body.encode()) > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            f"{_where(source)}the document has more than {MAX_DOCUMENT_BYTES:,} bytes.",
            field="body",
            remedy="Split it into several documents.",
        )
    return document


def document_from_bytes(name: str, content: bytes) -> Document:
    """Read a file's content: UTF-8, its title the first Markdown heading, else the file's name.

    Raises:
        TooLarge, InvalidInput: as `make_document`; also InvalidInput if it is not UTF-8. Each names the file.
    """
    if len(content) > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            f"{name}: the document has more than {MAX_DOCUMENT_BYTES:,} bytes.",
            field="body",
            remedy="Split it into several documents.",
        )
    try:
        body = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{name}: this is not UTF-8 text (byte {error.start}).",
            field="body",
            remedy="Convert it to UTF-8 text first; PDF and office files need their text extracted.",
        ) from error
    heading = _HEADING.search(body)
    title = heading["title"] if heading else name
    return make_document(title[:MAX_TITLE], body, name)


def clean_query(query: str) -> str:
    """What of a query can be searched for: no NUL, no half characters, not endless."""
    return query[:MAX_QUERY].replace("\0", " ").encode("utf-8", "ignore").decode()


def _check_characters(field: str, text: str, source: str) -> None:
    if "\0" in text:
        raise InvalidInput(f"{_where(source)}the {field} holds NUL; it is no text.", field=field)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{_where(source)}the {field} holds half a character.", field=field) from error


def _where(source: str) -> str:
    shown = "".join(character for character in source[:200] if character.isprintable())
    return f"{shown}: " if shown else ""
