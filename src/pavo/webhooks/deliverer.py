"""Delivers the outbox, in every worker process beside its work.

Any number of deliverers share the outbox: each claims what it sends at once, and a claim ends by itself. One that dies
between sending and recording leaves the message to the next one, which sends it again under the same id. Messages are
not ordered; those of one task or job carry a `sequence`.
"""

import asyncio
import logging
import time
from typing import Final

from pavo.errors import PavoError
from pavo.kit.cancellation import end
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.webhooks import outbox
from pavo.webhooks.domain import Claimed, Outcome, headers
from pavo.webhooks.sender import Sender

logger = logging.getLogger(__name__)

HEALTHY_SLOTS: Final = 24
FAILING_SLOTS: Final = 8
"""Attempts under way in one process; receivers that fail have their own, and keep nobody else waiting."""
POLL_SECONDS: Final = 1.0
AWAY_SECONDS: Final = 5.0
"""Until the database is asked again after it was away."""
PRUNE_SECONDS: Final = 60.0
LAST_SECONDS: Final = 3.0
"""For attempts under way at a shutdown; what is cut is sent again."""
CLAIM_MARGIN: Final = 5.0
"""Seconds of a claim beyond those of an attempt: for recording how it ended."""


class Deliverer:
    """Belongs to one event loop.

    Args:
        attempt_seconds: what the sender takes for one attempt at most.
    """

    def __init__(self, database: Database, sender: Sender, attempt_seconds: float) -> None:
        self._database = database
        self._sender = sender
        self._claim_seconds = attempt_seconds + CLAIM_MARGIN
        self._sending: dict[bool, set[asyncio.Task[None]]] = {True: set(), False: set()}
        self._free = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Claim nothing more, and wait a moment for what is under way."""
        await end(self._loop)
        under_way = self._sending[True] | self._sending[False]
        if under_way:
            await asyncio.wait(under_way, timeout=LAST_SECONDS)
        await end(*under_way)
        self._sender.close()

    async def _run(self) -> None:
        prune_at = time.monotonic()
        while True:
            pause = POLL_SECONDS
            try:
                await self._claim_what_is_due()
                if time.monotonic() >= prune_at:
                    prune_at = time.monotonic() + PRUNE_SECONDS
                    async with self._database.transaction() as session:
                        await outbox.prune(session)
            except PavoError as error:
                logger.warning("Webhooks wait: %s", error)
                pause = AWAY_SECONDS
            except Exception:
                logger.exception("Webhooks wait because of a fault of Pavo's own")
                pause = AWAY_SECONDS
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        """Until an attempt has ended, whose receiver may have more, or the time is over."""
        self._free.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._free.wait()
        except TimeoutError:
            return

    async def _claim_what_is_due(self) -> None:
        for healthy, limit in ((True, HEALTHY_SLOTS), (False, FAILING_SLOTS)):
            under_way = self._sending[healthy]
            slots = limit - len(under_way)
            if slots <= 0:
                continue
            async with self._database.transaction() as session:
                found = await outbox.claim(session, healthy=healthy, slots=slots, seconds=self._claim_seconds)
            for message in found:
                sending = asyncio.create_task(self.deliver(message))
                under_way.add(sending)
                sending.add_done_callback(under_way.discard)
                sending.add_done_callback(lambda _: self._free.set())

    async def deliver(self, message: Claimed) -> None:
        """Make one attempt and record it; where it cannot be recorded, the claim ends and the message is sent again."""
        outcome = await self._sender.post(message.url, headers(message, int(time.time())), message.body)
        metrics.WEBHOOK_ATTEMPTS.add("delivered" if outcome.error is None else "failed")
        metrics.WEBHOOK_SECONDS.observe(outcome.seconds)
        try:
            await self._record(message, outcome)
        except PavoError as error:
            logger.warning("How webhook message %s ended cannot be recorded: %s", message.id, error)
        except Exception:
            logger.exception("How webhook message %s ended cannot be recorded", message.id)

    async def _record(self, message: Claimed, outcome: Outcome) -> None:
        async with self._database.transaction() as session:
            disabled = await outbox.record(session, message, outcome)
        if outcome.error is not None:
            logger.info("Webhook %s did not take message %s: %s", message.webhook_id, message.id, outcome.error)
        if disabled is not None:
            metrics.WEBHOOKS_DISABLED.add()
            logger.warning("Webhook %s is disabled: %s", message.webhook_id, disabled)
