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
from collections.abc import Sequence
from typing import Final

from pavo.agents.raised import described
from pavo.errors import LeaseLost, NotFound, Unavailable
from pavo.flows.attempts import Steps
from pavo.flows.driving import Driver, Publish, unheard
from pavo.flows.evaluation import Evaluates
from pavo.flows.ledger import histories, holding
from pavo.flows.ledger.records import LOCAL, Hold, RunRecord
from pavo.kit import cancellation
from pavo.kit.sql import Database
from pavo.kit.texts.storable import storable

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 10.0
"""After so long another engine takes over the runs of one that was killed."""
RENEWALS: Final = 5
"""In the time of a lease: what is asked of a run from outside is heard as often."""
AGAIN_SECONDS: Final = 0.2
"""Before a lease is renewed again that is over: whoever looks for runs to claim is as quick."""
LOOK_SECONDS: Final = 0.5
"""Between looks for runs to claim."""


class LocalEngine:
    """One, on the event loop that it is used on.

    Args:
        lease_seconds: see LEASE_SECONDS.
        publish: tells viewers what was committed.
        program: whose runs it claims; None: the workers'.
    """

    def __init__(
        self,
        database: Database,
        steps: Steps,
        evaluator: Evaluates,
        lease_seconds: float = LEASE_SECONDS,
        publish: Publish = unheard,
        program: str | None = None,
    ) -> None:
        self._publish = publish
        self.program: Final = program
        self._database, self._steps, self._evaluator = database, steps, evaluator
        self._lease_seconds = lease_seconds
        self._driving: dict[uuid.UUID, Driver] = {}
        self._ending = False
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    async def run(self, run_id: uuid.UUID) -> RunRecord:
        """Execute one run until it is over, or waits for people alone, or Temporal has it.

        Raises:
            NotFound: there is no such run.
            Unavailable: PostgreSQL is away when it is to be claimed.
        """
        while True:
            if (claimed := await self.claim(run_id)) is not None:
                await self.execute(*claimed)
            async with self._database.reading() as session:
                record = await histories.run_of(session, run_id)
                asks = await histories.asks(session, run_id)
            if record.is_over or record.engine != LOCAL:
                return record
            if asks and record.holder is None and record.wakes_in >= record.seconds_left - 1:
                return record
            await asyncio.sleep(LOOK_SECONDS)

    async def claim(
        self, run_id: uuid.UUID | None = None, hashes: Sequence[str] | None = None
    ) -> tuple[Hold, float] | None:
        """A run that waits, and until when it is held, by the monotonic clock.

        Args:
            run_id: this one alone.
            hashes: of these versions alone.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        until = time.monotonic() + self._lease_seconds
        async with self._database.transaction() as session:
            hold = await holding.claim(session, self.name, self._lease_seconds, run_id, hashes, self.program)
        return None if hold is None else (hold, until)

    def end_soon(self) -> None:
        """Begin nothing more; what is in flight comes to its end, and the runs are given up."""
        self._ending = True
        for driver in self._driving.values():
            driver.end_soon()

    async def execute(self, hold: Hold, until: float) -> None:
        """Go on with a run that was claimed, until it is over, waits, or is another one's. When this is cancelled, the
        run is given up, so that others need not wait for its lease to expire."""
        driver = Driver(self._database, hold, self._steps, self._evaluator, self._publish)
        driver.holds_until(until)
        self._driving[hold.run_id] = driver
        if self._ending:
            driver.end_soon()
        doing = asyncio.create_task(driver.drive(), name=f"run {hold.run_id}")
        keeping = asyncio.create_task(self._keep(hold, driver), name=f"lease of {hold.run_id}")
        failed: Exception | None = None
        try:
            await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
            (doing if doing.done() else keeping).result()
        except asyncio.CancelledError:
            await cancellation.end(doing, keeping)
            await self._release(hold)
            raise
        except (LeaseLost, NotFound) as lost:
            logger.warning("Run %s: %s", hold.run_id, lost)
        except Exception as error:
            logger.exception("Run %s cannot be executed.", hold.run_id)
            failed = error
        finally:
            self._driving.pop(hold.run_id, None)
            await cancellation.end(doing, keeping)
        if failed is not None:
            await self._fail(hold, failed)

    async def _release(self, hold: Hold) -> None:
        try:
            async with self._database.transaction() as session:
                await holding.release(session, hold, idle=False)
        except (LeaseLost, NotFound):  # it is over, or has gone on elsewhere
            return
        except Unavailable as error:
            logger.warning("Run %s is given up when its lease is over: %s", hold.run_id, error)

    async def _fail(self, hold: Hold, error: Exception) -> None:
        try:
            async with self._database.transaction() as session:
                told = await holding.fail(session, hold, storable(described(error))[:1_000])
            self._publish(told)
        except (LeaseLost, NotFound):
            return
        except Unavailable as away:
            logger.warning("Run %s is tried again when its lease is over: %s", hold.run_id, away)

    async def _keep(self, hold: Hold, driver: Driver) -> None:
        """Renew the lease, and tell the driver what is new. One that is over is renewed as well, where nobody has
        claimed the run meanwhile: then it is as if it had never been.

        Raises:
            LeaseLost: the run is another one's.
        """
        pause = self._lease_seconds / RENEWALS
        while True:
            await asyncio.sleep(pause)
            before = time.monotonic()
            try:
                async with self._database.transaction() as session:
                    told = await holding.renew(session, hold, self._lease_seconds)
            except Unavailable as error:
                logger.warning("The lease of run %s cannot be renewed: %s", hold.run_id, error)
                pause = AGAIN_SECONDS
                continue
            driver.holds_until(before + self._lease_seconds)
            driver.heard(told.seq, cancel_asked=told.cancel_asked, handing_over=told.handing_over)
            pause = self._lease_seconds / RENEWALS
