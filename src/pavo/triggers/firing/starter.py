"""Deciding what a firing starts, and beginning it: see `starts.beginning`.

A firing is a row first: of a message in the transaction that takes it, of an end in the one that ends it. Its
expressions are evaluated; under its lock it is `starting` then, with what came of them, which no later look changes.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import PavoError
from pavo.flows.evaluation import CannotEvaluate
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.runs import idempotency
from pavo.starts.beginning import MAX_TOLD, Began, Beginning, firing_of
from pavo.starts.firings import DUE, FAILED, SKIPPED, STARTED, STARTING
from pavo.triggers import repository
from pavo.triggers.domain import KEPT, MAX_FAILURES, too_deep
from pavo.triggers.firing import ledger
from pavo.triggers.firing.mapping import TriggerMapping
from pavo.triggers.models import TriggerFiringRow, TriggerRow
from pavo.works.work import Work

logger = logging.getLogger(__name__)

MAX_HOPS: Final = 32
"""From what has ended to the firing behind it: through runs of flows whose steps had it done."""
PRUNE_SECONDS: Final = 60.0
LEFT: Final = (
    "Who made the trigger, or had it go on last, is no member of the organisation any more. Have it go on again, and it"
    " acts for you: pavo trigger resume"
)


ParentOf: TypeAlias = Callable[[uuid.UUID], Awaitable[uuid.UUID | None]]


@dataclass(frozen=True, slots=True)
class _Decided:
    starts: Mapping[str, Any] | None = None
    skip: str | None = None
    fail: str | None = None
    depth: int = 0


class TriggerStarter:
    """Begins what triggers have fired.

    Args:
        works: what can be started, by kind.
        parent_of: the run whose step a run is.
    """

    def __init__(
        self, database: Database, works: Mapping[str, Work], mapping: TriggerMapping, parent_of: ParentOf
    ) -> None:
        self._database, self._mapping, self._parent_of = database, mapping, parent_of
        self._beginning = Beginning(database, works, ledger.FIRINGS, LEFT)

    async def advance(self, firing_id: uuid.UUID) -> None:
        """Begin one, unless that was done.

        Raises:
            Unavailable: something is away; whoever comes next goes on.
        """
        async with self._database.reading() as session:
            firing = await ledger.FIRINGS.find(session, firing_id)
            trigger = firing and await repository.whatever(session, firing.trigger_id)
        if firing is not None and firing.state == DUE:
            decided = await self._decide(firing, trigger)
            firing = await self._settle(firing_id, trigger, decided)
        if firing is None or firing.state != STARTING:
            return
        found = await self._beginning.begin(firing, None if trigger is None else trigger.organisation_id)
        if found is not None:
            await self._note(firing, found)

    async def note_ends(self, trigger_id: uuid.UUID) -> None:
        """See which of what a trigger has started is over.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._database.reading() as session:
            rows = await ledger.open_(session, trigger_id)
        await self._beginning.note_ends(rows)

    async def prune(self) -> None:
        """Without an end: let go of old firings, and of triggers that are gone."""
        while True:
            try:
                async with self._database.transaction() as session:
                    await ledger.prune(session, KEPT)
                    await repository.drop(session, ledger.PRUNED_AT_ONCE)
            except PavoError as error:
                logger.warning("Old firings of triggers are let go of later: %s", error)
            except Exception:
                logger.exception("Old firings of triggers are let go of later")
            await asyncio.sleep(PRUNE_SECONDS)

    async def _decide(self, firing: TriggerFiringRow, trigger: TriggerRow | None) -> _Decided:
        if trigger is None or trigger.deleted_at is not None:
            return _Decided(skip="The trigger was removed.")
        depth = 0
        if firing.cause_id is not None:
            async with self._database.reading() as session:
                depth = 1 + await self._depth_of(session, trigger.organisation_id, firing.cause_id)
        if (why := too_deep(depth)) is not None:
            return _Decided(skip=why, depth=depth)
        values = {"body": firing.payload, "event": firing.event}
        try:
            found = await self._mapping.mapped(trigger.body, trigger.condition, values)
        except CannotEvaluate as error:
            return _Decided(fail=str(error)[:MAX_TOLD], depth=depth)
        if found.starts is None:
            return _Decided(skip="Its condition does not hold.", depth=depth)
        return _Decided(found.starts, depth=depth)

    async def _depth_of(self, session: AsyncSession, organisation_id: uuid.UUID, subject_id: uuid.UUID) -> int:
        """How many triggers, one after the other, it took to start this; 0: none. By the keys under which things are
        made, which are written with them, and by the runs whose steps they are."""
        subject: uuid.UUID | None = subject_id
        for _ in range(MAX_HOPS):
            if subject is None:
                break
            key = await idempotency.key_of(session, organisation_id, subject)
            firing_id = None if key is None else firing_of(key)
            if firing_id is not None:
                firing = await ledger.FIRINGS.find(session, firing_id)
                return 0 if firing is None else firing.depth
            subject = (None if key is None else _run_of(key)) or await self._parent_of(subject)
        return 0

    async def _settle(
        self, firing_id: uuid.UUID, trigger: TriggerRow | None, decided: _Decided
    ) -> TriggerFiringRow | None:
        """The firing as it is now: what was decided, unless somebody else was first."""
        async with self._database.transaction() as session:
            firing = await ledger.lock(session, firing_id)
            if firing is None or firing.state != DUE:
                return firing
            await ledger.place(session, firing_id, decided.depth)
            if decided.skip is not None or trigger is None:
                await ledger.FIRINGS.skip(session, firing_id, decided.skip or "")
                metrics.TRIGGER_FIRINGS.add(SKIPPED)
                return None
            starts: Mapping[str, Any] = decided.starts or {}
            firing = await ledger.FIRINGS.begin(session, firing_id, trigger.kind, starts, trigger.acts_for)
            if decided.fail is None:
                return firing
            await ledger.FIRINGS.failed(session, firing, decided.fail)
        await self._note(firing, Began(FAILED, told=decided.fail))
        return None

    async def _note(self, firing: TriggerFiringRow, found: Began) -> None:
        """Count it. A process that dies before this has counted one failure less: no harm is done."""
        metrics.TRIGGER_FIRINGS.add(found.state)
        if found.state == STARTED and found.at is not None:
            metrics.TRIGGER_LATENESS.observe(max(0.0, (found.at - firing.created_at).total_seconds()))
        async with self._database.transaction() as session:
            if found.state == STARTED:
                await repository.note_success(session, firing.trigger_id)
                return
            reason = f"{MAX_FAILURES} firings in a row failed; the last one: {found.told}"[:MAX_TOLD]
            paused = await repository.note_failure(session, firing.trigger_id, MAX_FAILURES, reason)
        if paused:
            logger.warning("Trigger %s is paused: %s", firing.trigger_id, reason)


def _run_of(key: str) -> uuid.UUID | None:
    """The run whose step has made something under this key; None: none has. See `ResultKey.idempotency_key`."""
    try:
        return uuid.UUID(key.partition("/")[0]) if "/" in key else None
    except ValueError:
        return None
