"""Use cases of webhooks: an organisation's receivers, their secrets and their log.

Who may call them is decided before: the endpoints let owners of the organisation, the command line its operator.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from pavo.config import WebhookSettings
from pavo.errors import Conflict, InvalidInput, NotFound
from pavo.kit.outgoing.addresses import may_reach
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database
from pavo.webhooks import outbox, repository
from pavo.webhooks.domain import (
    MAX_DESCRIPTION,
    OVERLAP,
    Delivery,
    EventType,
    Waiting,
    Webhook,
    new_secret,
    parse_url,
)
from pavo.webhooks.models import SECRETS

MAX_WEBHOOKS: Final = 10
"""Of an organisation: each change of a task writes a message for each."""
MAX_PAGE: Final = 200
DeliveryState = Literal["pending", "delivered", "given_up"]


@dataclass(frozen=True, slots=True)
class WebhookWithSecret:
    """A webhook and its newest secret, which is shown this once and cannot be read again."""

    webhook: Webhook
    secret: str


class WebhookService:
    """An organisation's webhooks.

    Args:
        database: Pavo's database.
        settings: which addresses that are not public may be sent to.
    """

    def __init__(self, database: Database, settings: WebhookSettings) -> None:
        self._database = database
        self._allowed = settings.allowed_networks

    async def add(
        self,
        organisation_id: uuid.UUID,
        url: str,
        *,
        events: Sequence[str] = (),
        description: str = "",
        created_by: uuid.UUID | None = None,
    ) -> WebhookWithSecret:
        """A new webhook, which is told of what happens from now on.

        Args:
            events: types that it is told of; none names all.
            created_by: None: an operator.

        Raises:
            InvalidInput: the address, an event or the description is none.
            Conflict: the organisation has a webhook with this address, or as many as it may.
        """
        values = {
            "url": self._url(url),
            "events": _events(events),
            "description": _description(description),
            "created_by": created_by,
        }
        secret = new_secret()
        async with self._database.transaction() as session:
            if await repository.count(session, organisation_id) >= MAX_WEBHOOKS:
                raise Conflict(
                    f"The organisation has {MAX_WEBHOOKS} webhooks, as many as it may.",
                    remedy="Remove one, or let one receiver pass messages on.",
                )
            webhook_id = await repository.add(session, organisation_id, values, secret)
            if webhook_id is None:
                raise _taken(url)
            return WebhookWithSecret(await self._get(session, organisation_id, webhook_id), secret)

    async def all_of(self, organisation_id: uuid.UUID) -> list[Webhook]:
        """The organisation's webhooks, oldest first."""
        async with self._database.reading() as session:
            return await repository.all_of(session, organisation_id)

    async def get(self, organisation_id: uuid.UUID, webhook_id: uuid.UUID) -> Webhook:
        """One webhook.

        Raises:
            NotFound: the organisation has none with this id.
        """
        async with self._database.reading() as session:
            return await self._get(session, organisation_id, webhook_id)

    async def named(self, organisation_id: uuid.UUID, reference: str) -> Webhook:
        """The webhook with this id, the beginning of one, or this address.

        Raises:
            NotFound: there is none.
            InvalidInput: there are several.
        """
        wanted = reference.strip()
        found = [
            each
            for each in await self.all_of(organisation_id)
            if each.url == wanted or (wanted and str(each.id).startswith(wanted.lower()))
        ]
        if len(found) > 1:
            raise InvalidInput("Several webhooks begin so.", field="webhook", remedy="See: pavo webhook list")
        if not found:
            raise NotFound("There is no such webhook.", field="webhook", remedy="See: pavo webhook list")
        return found[0]

    async def change(
        self,
        organisation_id: uuid.UUID,
        webhook_id: uuid.UUID,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """Change what is given. Enabled again, or with another address, it gets at once what waits for it.

        Raises:
            NotFound, InvalidInput, Conflict: as `get` and `add`.
        """
        given = {
            "url": None if url is None else self._url(url),
            "events": None if events is None else _events(events),
            "description": None if description is None else _description(description),
            "enabled": enabled,
        }
        values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        afresh = enabled is True or url is not None
        if afresh:
            values |= {"failures": 0, "failing_since": None, "rests_until": None}
        if enabled is not None:
            values |= {"disabled_at": None, "disabled_reason": None}
        async with self._database.transaction() as session:
            await self._lock(session, organisation_id, webhook_id)
            if url is not None and await repository.has_address(session, organisation_id, values["url"], webhook_id):
                raise _taken(url)
            if values:
                await repository.change(session, webhook_id, values)
            if afresh:
                await repository.hurry(session, webhook_id)
            return await self._get(session, organisation_id, webhook_id)

    async def remove(self, organisation_id: uuid.UUID, webhook_id: uuid.UUID) -> None:
        """Remove the webhook; what waits for it is not sent any more.

        Raises:
            NotFound: the organisation has none with this id.
        """
        async with self._database.transaction() as session:
            if not await repository.remove(session, organisation_id, webhook_id):
                raise _unknown()

    async def rotate(
        self, organisation_id: uuid.UUID, webhook_id: uuid.UUID, overlap: timedelta = OVERLAP
    ) -> WebhookWithSecret:
        """A new secret. Those before it go on signing for `overlap`, so that the receiver can change over meanwhile.

        Raises:
            NotFound: as `get`.
            InvalidInput: the time is none.
            Conflict: several rotations still overlap.
        """
        async with self._database.transaction() as session:
            await self._lock(session, organisation_id, webhook_id)
            secret = await SECRETS.rotate(session, webhook_id, overlap)
            return WebhookWithSecret(await self._get(session, organisation_id, webhook_id), secret)

    async def test(self, organisation_id: uuid.UUID, webhook_id: uuid.UUID) -> Delivery:
        """Put a test message into the outbox.

        Raises:
            NotFound: as `get`.
            Conflict: the webhook is disabled.
        """
        async with self._database.transaction() as session:
            webhook = await self._get(session, organisation_id, webhook_id)
            if not webhook.enabled:
                raise Conflict("This webhook is disabled.", field="enabled", remedy="Enable it first.")
            delivery_id = await outbox.enqueue_test(session, webhook_id)
            return await self._delivery(session, webhook_id, delivery_id)

    async def deliveries(
        self,
        organisation_id: uuid.UUID,
        webhook_id: uuid.UUID,
        *,
        state: DeliveryState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Delivery]:
        """The webhook's log, newest first.

        Raises:
            NotFound: as `get`.
            InvalidInput: the cursor is none.
        """
        before = None if cursor is None else Cursor.decode(cursor)
        size = max(1, min(limit, MAX_PAGE))
        async with self._database.reading() as session:
            await self._get(session, organisation_id, webhook_id)
            found = await repository.deliveries(session, webhook_id, state, before, size + 1)
        items = found[:size]
        more = len(found) > size
        return Page(items, Cursor(items[-1].created_at, items[-1].id).encode() if more else None)

    async def delivery(self, organisation_id: uuid.UUID, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> Delivery:
        """One message of the webhook.

        Raises:
            NotFound: there is none.
        """
        async with self._database.reading() as session:
            await self._get(session, organisation_id, webhook_id)
            return await self._delivery(session, webhook_id, delivery_id)

    async def resend(self, organisation_id: uuid.UUID, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> Delivery:
        """Send a message again now, whatever became of it; its id stays.

        Raises:
            NotFound: as `delivery`.
            Conflict: it is under way.
        """
        async with self._database.transaction() as session:
            await self._lock(session, organisation_id, webhook_id)
            await self._delivery(session, webhook_id, delivery_id)
            if not await repository.send_again(session, webhook_id, delivery_id):
                raise Conflict("This message is under way.", remedy="Look at how it ends.")
            return await self._delivery(session, webhook_id, delivery_id)

    async def waiting(self) -> Waiting:
        """What is not delivered yet, of all organisations."""
        async with self._database.reading() as session:
            return await outbox.waiting(session)

    def _url(self, url: str) -> str:
        """Refuses at once what no attempt could reach: an address written as such. A name is judged at each attempt."""
        text = url.strip()
        parts = parse_url(text, plain_http=bool(self._allowed))
        host = parts.hostname or ""
        try:
            reachable = may_reach(host, self._allowed, secure=parts.scheme == "https")
        except ValueError:
            return text
        if not reachable:
            raise InvalidInput(
                f"{host} may not be sent to: it is no public address.",
                field="url",
                remedy="Give a public one, or have the operator allow its network: PAVO_WEBHOOK_NETWORKS.",
            )
        return text

    async def _get(self, session: Any, organisation_id: uuid.UUID, webhook_id: uuid.UUID) -> Webhook:
        found = await repository.one(session, organisation_id, webhook_id)
        if found is None:
            raise _unknown()
        return found

    async def _lock(self, session: Any, organisation_id: uuid.UUID, webhook_id: uuid.UUID) -> None:
        if not await repository.lock(session, organisation_id, webhook_id):
            raise _unknown()

    async def _delivery(self, session: Any, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> Delivery:
        found = await repository.delivery(session, webhook_id, delivery_id)
        if found is None:
            raise NotFound("There is no such message of this webhook.", field="delivery", remedy="List its deliveries.")
        return found


def _events(events: Sequence[str]) -> list[str]:
    wanted = list(dict.fromkeys(events)) or list(EventType)
    unknown = [event for event in wanted if event not in set(EventType)]
    if unknown:
        raise InvalidInput(
            f"There is no event {unknown[0]!r}.", field="events", remedy=f"Choose from {', '.join(EventType)}."
        )
    return [str(event) for event in wanted]


def _description(text: str) -> str:
    stripped = text.strip()
    if len(stripped) > MAX_DESCRIPTION or not stripped.isprintable():
        raise InvalidInput(
            f"A description has at most {MAX_DESCRIPTION} printable characters.",
            field="description",
            remedy="Write one short line.",
        )
    return stripped


def _taken(url: str) -> Conflict:
    return Conflict(
        f"A webhook of this organisation has the address {url} already.",
        field="url",
        remedy="Change that one; a new secret comes by rotating.",
    )


def _unknown() -> NotFound:
    return NotFound("There is no such webhook.", field="webhook")
