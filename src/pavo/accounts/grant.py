"""What a connection that lasts was allowed at its beginning."""

import uuid
from dataclasses import dataclass

from pavo.accounts.domain import Identity


@dataclass(frozen=True, slots=True)
class Grant:
    """What was allowed, and to whom."""

    kind: str
    """Of the subject."""
    subject_id: uuid.UUID
    organisation_id: uuid.UUID
    """Whose the subject was."""
    who: Identity | None
    """None where the subject's id is the capability (dev mode)."""
