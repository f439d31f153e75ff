"""Use cases of triggers: made, paused, rotated, removed, and what they have fired."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.accounts.people import people_by_id
from pavo.errors import Conflict, InvalidInput, NotFound
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database, time_of
from pavo.starts.checking import named
from pavo.starts.flow_work import FlowWork
from pavo.triggers import domain as d
from pavo.triggers import repository
from pavo.triggers.firing import ledger
from pavo.triggers.firing.mapping import TriggerMapping, has_expression
from pavo.triggers.firing.starter import TriggerStarter
from pavo.triggers.models import SECRETS, TriggerFiringRow, TriggerRow
from pavo.triggers.repository import NewTrigger
from pavo.triggers.schemas import EndOf, TriggerCreate
from pavo.webhooks.domain import new_secret
from pavo.works.work import Work, acting_in


@dataclass(frozen=True, slots=True)
class TriggerView:
    """A trigger, with what people see beside its row."""

    row: TriggerRow
    acts_for: str | None
    paused_by: str | None
    secrets: int
    """How many are valid."""


class TriggerService:
    """What people and programs do with triggers. Unknown and foreign ones are the same.

    Args:
        works: what can be started, by kind.
    """

    def __init__(
        self, database: Database, works: Mapping[str, Work], mapping: TriggerMapping, starter: TriggerStarter
    ) -> None:
        self._database, self._works, self._mapping, self._starter = database, works, mapping, starter

    async def create(self, who: Identity, new: TriggerCreate) -> tuple[TriggerView, str | None]:
        """Make a trigger; with the secret that its senders sign with, where it takes messages.

        Raises:
            InvalidInput, TooLarge: what it is to start, or an expression, is none; the field is named.
            NotFound: no such organisation of theirs, or no such flow.
            Conflict: the name is taken, or there are too many.
        """
        organisation_id = who.organisation_id
        if new.organisation_id is not None:
            [organisation_id] = who.of(new.organisation_id)
        _check_event(new.when)
        kind, said = named(new.starts)
        body = said.model_dump(mode="json", exclude_unset=True)
        await self._mapping.check({kind: body}, new.condition)
        await self._check(acting_in(who, organisation_id), kind, said, body)
        values, secret = _new(new, organisation_id, who, kind, body), None if new.when else new_secret()
        async with self._database.transaction() as session:
            if await repository.count(session, organisation_id) >= d.MAX_TRIGGERS:
                raise Conflict(f"There are {d.MAX_TRIGGERS} triggers.", field="name", remedy="Remove one first.")
            trigger_id = await repository.add(session, values, secret)
            if trigger_id is None:
                remedy = "Use another name, or remove that one."
                raise Conflict(f"There is a trigger {new.name!r}.", field="name", remedy=remedy)
        return await self.get(who, trigger_id), secret

    async def get(self, who: Identity, trigger_id: uuid.UUID) -> TriggerView:
        """One trigger.

        Raises:
            NotFound: unknown, removed, or not theirs.
        """
        async with self._database.reading() as session:
            row = theirs(who, await repository.find(session, trigger_id), trigger_id)
            return (await _views(session, [row]))[0]

    async def all_of(self, who: Identity, organisation_id: uuid.UUID | None) -> Sequence[TriggerView]:
        """Those of one organisation, or of all that are theirs, by name.

        Raises:
            NotFound: no such organisation of theirs.
        """
        async with self._database.reading() as session:
            return await _views(session, await repository.all_of(session, who.of(organisation_id)))

    async def pause(self, who: Identity, trigger_id: uuid.UUID, reason: str) -> TriggerView:
        """Have it start nothing: its messages are refused, and ends go by. What it has taken already begins.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.transaction() as session:
            row = theirs(who, await repository.lock(session, trigger_id), trigger_id)
            since = row.paused_at or await time_of(session)
            values = {"paused_at": since, "paused_by": who.user_id, "paused_reason": reason}
            await repository.change(session, trigger_id, values)
        return await self.get(who, trigger_id)

    async def resume(self, who: Identity, trigger_id: uuid.UUID) -> TriggerView:
        """Have it go on; from then on it acts for whoever asks.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.transaction() as session:
            theirs(who, await repository.lock(session, trigger_id), trigger_id)
            goes_on = {"paused_at": None, "paused_by": None, "paused_reason": ""}
            await repository.change(session, trigger_id, {**goes_on, "failures": 0, "acts_for": who.user_id})
        return await self.get(who, trigger_id)

    async def rotate(self, who: Identity, trigger_id: uuid.UUID, overlap: timedelta) -> tuple[TriggerView, str]:
        """A new secret; those before it count for `overlap` still.

        Raises:
            NotFound: unknown, or not theirs.
            InvalidInput: the time is none.
            Conflict: it takes no messages, or several rotations still overlap.
        """
        async with self._database.transaction() as session:
            row = theirs(who, await repository.lock(session, trigger_id), trigger_id)
            if row.origin != d.WEBHOOK:
                raise Conflict("It takes no messages, and has no secret.", remedy="Rotate one that does.")
            secret = await SECRETS.rotate(session, trigger_id, overlap)
        return await self.get(who, trigger_id), secret

    async def remove(self, who: Identity, trigger_id: uuid.UUID) -> None:
        """Remove it with its firings; what it started stays.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.transaction() as session:
            theirs(who, await repository.lock(session, trigger_id), trigger_id)
            await repository.remove(session, trigger_id)

    async def firings(
        self, who: Identity, trigger_id: uuid.UUID, states: Sequence[str], cursor: str | None, limit: int
    ) -> Page[TriggerFiringRow]:
        """What became of messages and ends, newest first; what they started is looked at.

        Raises:
            NotFound: unknown, or not theirs.
            InvalidInput: the cursor is none of this API's.
        """
        before = None if cursor is None else Cursor.decode(cursor)
        async with self._database.reading() as session:
            theirs(who, await repository.find(session, trigger_id), trigger_id)
        await self._starter.note_ends(trigger_id)
        async with self._database.reading() as session:
            found = await ledger.page(session, trigger_id, states, before, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], Cursor(last.created_at, last.id).encode() if last else None)

    async def census(self) -> Mapping[str, int]:
        """How many go on, and how many are paused, of all organisations."""
        async with self._database.reading() as session:
            return await repository.census(session)

    async def _check(self, who: Identity, kind: str, said: BaseModel, body: Mapping[str, Any]) -> None:
        work = self._works[kind]
        if isinstance(work, FlowWork):
            inputs = cast("Mapping[str, Any]", body.get("inputs", {}))
            await work.check(who, said, later=[name for name, value in inputs.items() if has_expression(value)])
        else:
            await work.check(who, said)


def _new(
    new: TriggerCreate, organisation_id: uuid.UUID, who: Identity, kind: str, body: Mapping[str, Any]
) -> NewTrigger:
    when = new.when
    return NewTrigger(
        organisation_id,
        new.name,
        d.WEBHOOK if when is None else d.EVENT,
        kind,
        body,
        new.condition,
        new.per_minute,
        None if when is None else when.kind,
        [] if when is None else [*dict.fromkeys(when.outcomes)],
        [] if when is None else [*dict.fromkeys(when.flows)],
        who.user_id,
    )


def _check_event(when: EndOf | None) -> None:
    if when is not None and when.flows and when.kind != "flow":
        told = f"A {when.kind} is no run of a flow."
        raise InvalidInput(told, field="when.flows", remedy="Leave `flows` out, or say `kind`: flow.")


async def _views(session: AsyncSession, rows: Sequence[TriggerRow]) -> Sequence[TriggerView]:
    people = await people_by_id(session, [each for row in rows for each in (row.acts_for, row.paused_by)])
    found = list[TriggerView]()
    for row in rows:
        acts_for, paused_by = (people.get(each) if each else None for each in (row.acts_for, row.paused_by))
        secrets = len(await SECRETS.valid(session, row.id)) if row.origin == d.WEBHOOK else 0
        by = paused_by.email if paused_by else None
        found.append(TriggerView(row, acts_for.email if acts_for else None, by, secrets))
    return found


def theirs(who: Identity, row: TriggerRow | None, trigger_id: uuid.UUID) -> TriggerRow:
    """The trigger.

    Raises:
        NotFound: unknown, or not theirs: said alike.
    """
    if row is None or row.organisation_id not in who.organisation_ids:
        remedy = "Look at the list of triggers: pavo trigger list"
        raise NotFound(f"There is no trigger {trigger_id}.", field="trigger_id", remedy=remedy)
    return row
