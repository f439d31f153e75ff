"""Who writes transitions: the connections for both ways, and the name under which leases are held."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pavo.kit.json_values import encode_text
from pavo.kit.sql import Database, KeptConnections
from pavo.tasks.sql.repository import NewDocument


@dataclass(frozen=True, slots=True)
class TaskWriter:
    """What one process of workers writes with. Belongs to one event loop."""

    connections: KeptConnections
    """For the quick way."""
    database: Database
    """For the long way."""
    holder: str
    """Names this process in leases, so that a successor can tell a death from an error."""
    codes: Callable[[], Mapping[str, str]] = dict
    """By agent the code that this process runs, as attempts record it (`agents.code_version.CodeVersion.label`)."""

    def codes_text(self) -> str:
        """The codes, for statements."""
        return encode_text(dict(self.codes()))


def document_values(document: NewDocument) -> dict[str, Any]:
    """A document as the values that statements take."""
    return {**document.values(), "content": encode_text(document.content)}
