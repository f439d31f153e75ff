"""The rows of all kinds as one, for statements about whatever people are asked about, such as those of the inbox.

No such statement names a kind's table: each kind says by its `Kind` how its rows are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SubjectRows:
    """How a kind's rows are read: SQL over its table, written by the kind itself.

    The table has `id`, `organisation_id` and `created_by`.
    """

    table: str
    worker: str
    """Who or what does it: the agent's type, the program."""
    title: str = "title"
    there: str = "deleted_at IS NULL"
    """Which of its rows are there at all."""
    failed: str = "stage = 'FAILED'"
    """Which of them wait for a person because they failed."""
    failed_since: str = "updated_at"
    cause: str = "error ->> 'cause'"
    """Why."""


_NONE: Final = """
SELECT '' AS noun, CAST(NULL AS uuid) AS id, CAST(NULL AS uuid) AS organisation_id, CAST(NULL AS uuid) AS created_by,
    '' AS title, '' AS worker, false AS failed, pavo_now() AS failed_since, '' AS cause
WHERE false
"""


@dataclass(frozen=True, slots=True)
class Subjects:
    """The rows of several kinds.

    Args:
        kinds: how those of each are read, by its noun.
    """

    kinds: Mapping[str, SubjectRows]

    @property
    def sql(self) -> str:
        """A query in brackets, for a FROM: noun, id, organisation_id, created_by, title, worker, failed, failed_since,
        cause."""
        each = [
            f"SELECT CAST('{noun}' AS text) AS noun, id, organisation_id, created_by, {rows.title} AS title,"
            f" {rows.worker} AS worker, {rows.failed} AS failed, {rows.failed_since} AS failed_since,"
            f" {rows.cause} AS cause"
            f" FROM {rows.table} WHERE {rows.there}"
            for noun, rows in self.kinds.items()
        ]
        return f"({' UNION ALL '.join(each) or _NONE})"
