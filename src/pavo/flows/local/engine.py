"""The local engine: claims runs, executes them, and holds their leases as long as it lives.

It needs PostgreSQL alone. Killed at any moment, it leaves nothing but a lease that expires; then another one, or its
successor, goes on with what is in the ledger.
"""

import asyncio
import logging
import os
import socket
import time
import uuid
from typing import Final

from pavo.errors import LeaseLost, Unavailable
from pavo.flows.attempts import Steps
from pavo.flows.driving import Driver
from pavo.flows.evaluation import Evaluates
from pavo.flows.ledger import histories, holding
from pavo.flows.ledger.records import LOCAL, Hold, RunRecord
from pavo.kit import cancellation
from pavo.kit.sql import Database

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 10.0
"""After so long another engine takes over the runs of one that was killed."""
RENEWALS: Final = 5
"""In the time of a lease: what is asked of a run from outside is heard as often."""
LOOK_SECONDS: Final = 0.5
"""Between looks for runs to claim."""
AT_ONCE: Final = 32
"""Runs of one engine; those that only wait do not count."""


class LocalEngine:
    """One, on the event loop that it is used on.

    Args:
        lease_seconds: see LEASE_SECONDS.
    """

    def __init__(
        self, database: Database, steps: Steps, evaluator: Evaluates, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._database, self._steps, self._evaluator = database, steps, evaluator
        self._lease_seconds = lease_seconds
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    async def run(self, run_id: uuid.UUID) -> RunRecord:
        """Execute one run until it is over, or waits for people alone, or Temporal has it.

        Raises:
            NotFound: there is no such run.
            Unavailable: PostgreSQL is away when it is to be claimed.
        """
        while True:
            await self._claim_and_execute(run_id)
            async with self._database.reading() as session:
                record = await histories.run_of(session, run_id)
                asks = await histories.asks(session, run_id)
            if record.is_over or record.engine != LOCAL:
                return record
            if asks and record.holder is None and record.wakes_in >= record.seconds_left - 1:
                return record
            await asyncio.sleep(LOOK_SECONDS)

    async def serve(self) -> None:
        """Execute whatever waits for a local engine, until this is cancelled."""
        running: set[asyncio.Task[bool]] = set()
        try:
            while True:
                found = False
                if len(running) < AT_ONCE:
                    found = await self._begin_one(running)
                if not found:
                    await asyncio.sleep(LOOK_SECONDS)
                running -= {each for each in running if each.done()}
        finally:
            for task in running:
                await cancellation.end(task)

    async def _begin_one(self, running: set[asyncio.Task[bool]]) -> bool:
        try:
            hold, until = await self._claim(None)
        except Unavailable as error:
            logger.warning("The runs of flows cannot be read: %s", error)
            return False
        if hold is not None:
            running.add(asyncio.create_task(self._execute(hold, until)))
        return hold is not None

    async def _claim(self, run_id: uuid.UUID | None) -> tuple[Hold | None, float]:
        until = time.monotonic() + self._lease_seconds
        async with self._database.transaction() as session:
            return await holding.claim(session, self.name, self._lease_seconds, run_id), until

    async def _claim_and_execute(self, run_id: uuid.UUID) -> None:
        hold, until = await self._claim(run_id)
        if hold is not None:
            await self._execute(hold, until)

    async def _execute(self, hold: Hold, until: float) -> bool:
        """Whether it was this engine's to the end."""
        driver = Driver(self._database, hold, self._steps, self._evaluator)
        driver.valid_until = until
        doing = asyncio.create_task(driver.drive(), name=f"run {hold.run_id}")
        keeping = asyncio.create_task(self._keep(hold, driver), name=f"lease of {hold.run_id}")
        try:
            await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
            (doing if doing.done() else keeping).result()
        except LeaseLost as lost:
            logger.warning("Run %s: %s", hold.run_id, lost)
            return False
        except Exception:
            logger.exception("Run %s cannot be executed here; it is tried again when its lease is over.", hold.run_id)
            await asyncio.sleep(self._lease_seconds)
            return False
        finally:
            for task in (doing, keeping):
                await cancellation.end(task)
        return True

    async def _keep(self, hold: Hold, driver: Driver) -> None:
        """Renew the lease, and tell the driver what is new.

        Raises:
            LeaseLost: it was not renewed in time, or the run is another one's.
        """
        while True:
            await asyncio.sleep(self._lease_seconds / RENEWALS)
            before = time.monotonic()
            try:
                async with self._database.transaction() as session:
                    told = await holding.renew(session, hold, self._lease_seconds)
            except Unavailable as error:
                if time.monotonic() >= driver.valid_until:
                    raise LeaseLost("PostgreSQL did not answer for as long as the lease.") from error
                continue
            if time.monotonic() < driver.valid_until:  # else others may have had it, and nothing begins any more
                driver.valid_until = before + self._lease_seconds
            driver.heard(told.seq, cancel_asked=told.cancel_asked, handing_over=told.handing_over)
