"""Use cases of looking at runs. Unknown and foreign ones are the same."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pavo.accounts.domain import Grant, Identity
from pavo.errors import NotFound, TooLarge
from pavo.flows.ledger import histories, listing
from pavo.flows.ledger.listing import RunLine, WantedRuns
from pavo.flows.ledger.records import NOUN, History
from pavo.flows.shown.tree import ShownStep, bounded, steps_of
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread
from pavo.timeline.domain import Subject

MAX_READ_BYTES: Final = 64_000_000
"""Of a run's outputs that are read to show it."""


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run with its steps."""

    line: RunLine
    inputs: Any
    result: Any
    steps: Sequence[ShownStep]
    whole: bool
    """Whether all items and all outputs are shown."""


class RunViews:
    """Runs as people see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def own(self, who: Identity, run_id: uuid.UUID) -> RunLine:
        """A run, as lists have it.

        Raises:
            NotFound: unknown, removed, or not theirs.
        """
        async with self._database.reading() as session:
            found = await listing.line(session, run_id)
        if found is None or found.organisation_id not in who.organisation_ids:
            raise unknown(run_id)
        return found

    async def show(self, line: RunLine) -> ShownRun:
        """A run with its steps.

        Raises:
            NotFound: it was removed meanwhile.
            TooLarge: so much is kept of it that it cannot be shown.
        """
        history = await self._history(line.id)
        steps, whole = await call_in_thread("run-tree", _tree, history)
        return ShownRun(line, history.run.inputs, history.run.result, steps, whole)

    async def _history(self, run_id: uuid.UUID) -> History:
        async with self._database.transaction() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            size = await listing.kept_bytes(session, run_id)
            if size > MAX_READ_BYTES:
                told = f"The outputs of its steps have {size:,} bytes, which are too many to be shown."
                raise TooLarge(told, field="run", remedy=f"Follow it instead: pavo flow watch {run_id}")
            return await histories.history_of(session, run_id)

    async def page(
        self, organisation_id: uuid.UUID, wanted: WantedRuns, cursor: str | None, limit: int
    ) -> Page[RunLine]:
        """The organisation's runs, the newest first.

        Raises:
            InvalidInput: the cursor is none of this API's.
        """
        before = None if cursor is None else Cursor.decode(cursor).id
        async with self._database.reading() as session:
            found = await listing.lines(session, organisation_id, wanted, before, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], None if last is None else Cursor(last.created_at, last.id).encode())

    async def watched(self, who: Identity | None, run_id: uuid.UUID) -> Subject:
        """A run as the subject of a stream; a removed one too, for its streams end instead of being unknown.

        Args:
            who: None where the run's id is the capability (dev mode).

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            found = await listing.tombstone(session, run_id)
        if found is None or (who is not None and found[0] not in who.organisation_ids):
            raise unknown(run_id)
        return Subject(run_id, deleted=found[1], grant=Grant(NOUN, run_id, found[0], who))


def unknown(run_id: uuid.UUID) -> NotFound:
    """There is none, or it is somebody else's."""
    return NotFound(f"There is no run {run_id}.", field="run_id", remedy="See: pavo flow runs")


def _tree(history: History) -> tuple[list[ShownStep], bool]:
    return bounded(steps_of(history))
