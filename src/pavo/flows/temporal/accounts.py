"""What a worker keeps in memory of runs: nothing that it could not read anew, so that it reads only what is new."""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.flows.attempts import Steps
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.evaluation import Evaluates
from pavo.flows.ledger import histories
from pavo.flows.ledger.changes import CancelTold, Change, Ended, Overruled
from pavo.flows.ledger.records import RunRecord
from pavo.flows.progress import Progress, progress_at_beginning
from pavo.flows.turns import Turns
from pavo.kit.json_values import encode
from pavo.timeline.domain import Event

Publish: TypeAlias = Callable[[Sequence[Event]], None]
"""See `timeline.publish`."""
MOST_BYTES: Final = 64_000_000
"""Of all outputs that are kept."""
_RUN_BYTES: Final = 20_000
"""What one takes without them."""


class Account:
    """Of one run. Whoever has it has it alone."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.lock = asyncio.Lock()
        self.seq = 0
        self.is_cancelled = False
        self._epoch = 0
        self.bytes = _RUN_BYTES
        self._progress: Progress | None = None

    def forget(self) -> None:
        """What it says may not be what is written."""
        self.seq, self.bytes, self.is_cancelled, self._progress = 0, _RUN_BYTES, False, None

    async def read(self, session: AsyncSession, run: RunRecord) -> Progress:
        """Where the run is, by what is written of it."""
        if run.seq < self.seq or run.epoch != self._epoch:  # a run that was opened again knows less
            self.forget()
        self._epoch = run.epoch
        if self._progress is None:
            text = await histories.definition_of(session, run.organisation_id, run.hash)
            self._progress = progress_at_beginning(run, _definition(text))
        if run.seq > self.seq:
            changes = await histories.changes_since(session, run.id, self.seq)
            for change in changes:
                self._progress.told(change)
            self.note(changes, run.seq)
        return self._progress

    def note(self, changes: Iterable[Change | Overruled], seq: int) -> None:
        """The progress was told of these, and they are written."""
        self.seq = seq
        for change in changes:
            if isinstance(change, CancelTold):
                self.is_cancelled = True
            elif isinstance(change, Ended) and change.output is not None:
                self.bytes += len(encode(change.output))


def _definition(text: str) -> Definition:
    """It was checked when it was kept."""
    return definition_of(text, lambda sources: [None] * len(sources))


class Accounts:
    """Those of a worker, the last used ones, as far as there is room."""

    def __init__(self, steps: Steps, evaluator: Evaluates) -> None:
        self._steps, self._evaluator = steps, evaluator
        self._kept: OrderedDict[uuid.UUID, Account] = OrderedDict()

    @asynccontextmanager
    async def using(self, run_id: uuid.UUID) -> AsyncGenerator[Account]:
        """A run's, for this caller alone; after an error nothing is kept of it."""
        account = self._kept.setdefault(run_id, Account(Turns(self._steps, self._evaluator)))
        self._kept.move_to_end(run_id)
        async with account.lock:
            try:
                yield account
            except BaseException:
                account.forget()
                raise
        self._make_room()

    def drop(self, run_id: uuid.UUID) -> None:
        """It is over."""
        self._kept.pop(run_id, None)

    def _make_room(self) -> None:
        left = sum(each.bytes for each in self._kept.values()) - MOST_BYTES
        for run_id, account in list(self._kept.items()):
            if left <= 0:
                return
            if not account.lock.locked():
                left -= account.bytes
                del self._kept[run_id]
