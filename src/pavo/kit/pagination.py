"""Cursor pagination over (created_at, id), newest first."""

import base64
import binascii
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pavo.errors import InvalidInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of the page before: the next page starts just after it."""

    created_at: datetime
    id: uuid.UUID

    def encode(self) -> str:
        """The cursor as an opaque URL-safe text."""
        raw = f"{self.created_at.isoformat()}|{self.id}"
        return base64.urlsafe_b64encode(raw.encode()).decode()

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Read what `encode` wrote.

        Raises:
            InvalidInput: the text is no cursor that this API handed out.
        """
        try:
            moment, _, identifier = base64.urlsafe_b64decode(text.encode()).decode().partition("|")
            created_at = datetime.fromisoformat(moment)
            if created_at.tzinfo is None:
                raise ValueError("no zone")
            return cls(created_at, uuid.UUID(identifier))
        except (ValueError, binascii.Error) as error:
            raise InvalidInput(
                "This cursor was not handed out by this API.",
                field="cursor",
                remedy="Pass next_cursor of the page before, or leave cursor out for the first page.",
            ) from error


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of rows and the cursor of the next one, if there is one."""

    items: Sequence[T]
    next_cursor: str | None
