"""Taking signed messages: whoever sends one is known by its signature alone."""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict, InvalidInput, NotAuthenticated, PavoError, TooLarge, Unavailable
from pavo.kit.json_values import NotStorable, decode, plain
from pavo.kit.sql import Database, time_of
from pavo.observe import metrics
from pavo.triggers import repository
from pavo.triggers.domain import MAX_BODY_BYTES
from pavo.triggers.firing import ledger
from pavo.triggers.firing.starter import TriggerStarter
from pavo.triggers.models import TriggerFiringRow
from pavo.webhooks.verifying import verified

logger = logging.getLogger(__name__)

BEGIN_SECONDS: Final = 5.0
"""For what is started to begin before the answer: forges wait for ten. A worker goes on with what takes longer."""
LATER_SECONDS: Final = 30
"""When a sender that is too fast may come again."""
MAX_EVENT: Final = 200
_EVENTS: Final = ("x-github-event", "x-gitea-event")


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that counts."""

    firing: TriggerFiringRow
    repeated: bool
    """Whether it had come before."""


class TriggerReceiving:
    """Takes messages of all triggers."""

    def __init__(self, database: Database, starter: TriggerStarter) -> None:
        self._database, self._starter = database, starter

    async def take(self, trigger_id: uuid.UUID, headers: Mapping[str, str], body: bytes) -> Taken:
        """Take a message; one that has come before changes nothing.

        Args:
            headers: with names in small letters.

        Raises:
            TooLarge: its body is.
            NotAuthenticated: there is no such trigger, or the signature is wrong: said alike.
            InvalidInput: its body is no JSON that can be kept.
            Conflict: the trigger is paused.
            Unavailable: too many came in this minute.
        """
        try:
            taken = await self._take(trigger_id, headers, body)
        except PavoError as error:
            metrics.TRIGGER_MESSAGES.add("limited" if isinstance(error, Unavailable) else "refused")
            raise
        metrics.TRIGGER_MESSAGES.add("repeated" if taken.repeated else "taken")
        if taken.repeated:
            return taken
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await self._starter.advance(taken.firing.id)
        except (PavoError, TimeoutError) as error:
            logger.warning("What trigger %s has fired begins later: %s", trigger_id, error or "it takes long")
        async with self._database.reading() as session:
            return Taken(await ledger.FIRINGS.find(session, taken.firing.id) or taken.firing, repeated=False)

    async def _take(self, trigger_id: uuid.UUID, headers: Mapping[str, str], body: bytes) -> Taken:
        if len(body) > MAX_BODY_BYTES:
            told = f"The body has more than {MAX_BODY_BYTES:,} bytes."
            raise TooLarge(told, field="body", remedy="Send what is needed, and the rest by an address.")
        async with self._database.reading() as session:
            secrets, now = await repository.valid_secrets(session, trigger_id), await time_of(session)
        delivery = verified(headers, body, secrets, now.timestamp())
        if delivery is None:
            raise _refused()
        payload = _payload(body)
        async with self._database.transaction() as session:
            return await self._record(session, trigger_id, delivery, _event(headers, payload), payload)

    async def _record(
        self, session: AsyncSession, trigger_id: uuid.UUID, delivery: str, event: str, payload: Any
    ) -> Taken:
        trigger = await repository.lock(session, trigger_id)
        if trigger is None:
            raise _refused()
        found = await ledger.of_delivery(session, trigger_id, delivery)
        if found is not None:
            return Taken(found, repeated=True)
        if trigger.paused_at is not None:
            remedy = "Send it again once somebody has it go on: pavo trigger resume"
            raise Conflict(f"The trigger is paused: {trigger.paused_reason}", remedy=remedy)
        if await ledger.of_last_minute(session, trigger_id) >= trigger.per_minute:
            told = f"The trigger takes {trigger.per_minute} messages a minute."
            raise Unavailable(told, dependency="trigger", retry_after=LATER_SECONDS)
        firing_id = await ledger.add(session, trigger_id, delivery, event, payload)
        new = await ledger.FIRINGS.find(session, firing_id)
        assert new is not None, "this transaction has written it"
        return Taken(new, repeated=False)


def _refused() -> NotAuthenticated:
    return NotAuthenticated(
        "There is no such trigger, or no secret of it has signed this message lately.",
        remedy="Sign it as Standard Webhooks says, with the present time, or as GitHub does.",
    )


def _payload(body: bytes) -> Any:
    try:
        return plain(decode(body))[0]
    except NotStorable as error:
        raise InvalidInput(f"The body cannot be kept: {error}.", field="body", remedy=error.remedy) from error
    except (ValueError, RecursionError) as error:
        remedy = "Send JSON in UTF-8; at GitHub choose the content type application/json."
        raise InvalidInput("The body is no JSON.", field="body", remedy=remedy) from error


def _event(headers: Mapping[str, str], payload: Any) -> str:
    """What the message tells of: a forge's header, or the body's `type`; both are said by the sender."""
    said = next((headers[name] for name in _EVENTS if name in headers), None)
    if said is None and isinstance(payload, dict):
        said = cast("dict[str, Any]", payload).get("type")
    return said[:MAX_EVENT] if isinstance(said, str) and said.isprintable() else ""
