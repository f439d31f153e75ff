"""Lines of log of all agents of this gateway on their way into PostgreSQL: few statements, each line once, none lost.

A chunk is acknowledged after its commit. What is not waits at its agent, which sends it again.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pavo.errors import Unavailable
from pavo.fleet.sessions.session import Ending, Session
from pavo.jobs.sql.log_lines import NewLine, add_lines, heard, log_channel
from pavo.kit.cancellation import KeptRunning
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.protocol import fleet_pb2 as pb
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.05
GATHER_LINES: Final = 200
"""So many are not kept waiting for others."""
MAX_LINES: Final = 4_000
"""Of one statement, and one chunk."""
AGAIN_SECONDS: Final = 0.5
HEARD_SECONDS: Final = 5.0
"""So often it is noted that lines of an attempt come."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """On its way."""

    session: Session
    job_id: uuid.UUID
    epoch: int
    lines: Sequence[NewLine]
    bytes: int

    @property
    def attempt(self) -> tuple[uuid.UUID, int]:
        return self.job_id, self.epoch


class LogIntake:
    """Belongs to the event loop that calls `start`.

    Args:
        most_bytes: that wait in all; beyond it `take` waits.
    """

    def __init__(self, database: Database, publisher: Publisher, most_bytes: int) -> None:
        self._database, self._publisher, self._most_bytes = database, publisher, most_bytes
        self._waiting: deque[_Chunk] = deque()
        self._lines = self._bytes = 0
        self._wake, self._plenty, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._heard: dict[tuple[uuid.UUID, int], float] = {}
        self._task: KeptRunning | None = None

    def start(self) -> None:
        """Begin storing on the running event loop."""
        self._task = KeptRunning(self._run, "log-intake")

    async def close(self) -> None:
        """Store what waits, if PostgreSQL is there, and stop."""
        if self._task is not None:
            await self._task.end()
        while self._waiting:
            try:
                await self._store()
            except Unavailable as error:
                logger.warning("What waits to be stored of logs is left to the agents, which send it again: %s", error)
                return

    async def take(self, session: Session, attempt: tuple[uuid.UUID, int], lines: Sequence[NewLine], size: int) -> None:
        """Have lines stored, and their agent told; waits while too much waits.

        Args:
            size: bytes that they count against the agent's credit.
        """
        while self._bytes >= self._most_bytes:
            self._room.clear()
            await self._room.wait()
        self._waiting.append(_Chunk(session, *attempt, lines, size))
        self._lines += len(lines)
        self._bytes += size
        self._wake.set()
        if self._lines >= GATHER_LINES:
            self._plenty.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self._lines < GATHER_LINES:
                self._plenty.clear()
                try:
                    async with asyncio.timeout(GATHER_SECONDS):
                        await self._plenty.wait()
                except TimeoutError:
                    pass
            try:
                await self._store()
            except Unavailable as error:
                logger.info("Logs wait for PostgreSQL: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)
            if not self._waiting:
                self._wake.clear()

    async def _store(self) -> None:
        """One statement. What it held stays where it is until that is committed: whoever cuts this loses nothing."""
        batch = self._batch()
        if not batch:
            return
        try:
            await add_lines(self._database, [line for chunk in batch for line in chunk.lines])
        except Unavailable:
            raise
        except Exception:
            logger.exception("A group of log lines cannot be stored; each chunk is tried by itself")
            stored = [chunk for chunk in batch if await self._store_alone(chunk)]
        else:
            stored = batch
        self._forget(batch)
        self._tell(stored)
        await self._note(stored)

    async def _store_alone(self, chunk: _Chunk) -> bool:
        """Whether its lines are stored; those of others are not acknowledged, nor are those that follow them: the last
        line that is stored tells the agent, when it comes back, from where on it sends again."""
        if chunk.session.log_refused:
            return False
        try:
            await add_lines(self._database, chunk.lines)
        except Unavailable:
            raise
        except Exception:
            logger.exception("Lines of job %s cannot be stored", chunk.job_id)
            chunk.session.log_refused = True
            chunk.session.end(Ending("Its log lines cannot be stored.", "Upgrade the agent program.", come_back=False))
            return False
        return True

    def _batch(self) -> list[_Chunk]:
        batch: list[_Chunk] = []
        count = 0
        while self._waiting and self._waiting[0].session.log_refused:
            self._forget([self._waiting[0]])
        for chunk in self._waiting:
            if chunk.session.log_refused or (batch and count + len(chunk.lines) > MAX_LINES):
                break
            batch.append(chunk)
            count += len(chunk.lines)
        return batch

    def _forget(self, batch: Sequence[_Chunk]) -> None:
        for chunk in batch:
            self._waiting.popleft()
            self._lines -= len(chunk.lines)
            self._bytes -= chunk.bytes
        self._room.set()

    def _tell(self, batch: Sequence[_Chunk]) -> None:
        metrics.GATEWAY_LOG_LINES.add(by=sum(len(chunk.lines) for chunk in batch))
        metrics.GATEWAY_LOG_GAPS.add(by=sum(line.gap for chunk in batch for line in chunk.lines))
        last: dict[uuid.UUID, tuple[int, int]] = {}
        for chunk in batch:
            chunk.session.log_bytes -= chunk.bytes
            if not chunk.session.is_over:
                ack = pb.LogAck(job_id=str(chunk.job_id), epoch=chunk.epoch, seq=chunk.lines[-1].seq)
                ack.credit = chunk.session.log_credit
                chunk.session.outbox.acknowledge(ack)
                metrics.GATEWAY_LOG_ACKS.add()
            last[chunk.job_id] = max(last.get(chunk.job_id, (0, 0)), (chunk.epoch, chunk.lines[-1].seq))
        for job_id, (epoch, seq) in last.items():
            self._publisher.tell(log_channel(job_id), f"{epoch}-{seq}".encode())

    async def _note(self, batch: Sequence[_Chunk]) -> None:
        """That the attempts are heard of, now and then."""
        now = asyncio.get_running_loop().time()
        if len(self._heard) > 10_000:
            self._heard = {key: at for key, at in self._heard.items() if now - at < HEARD_SECONDS}
        before = now - HEARD_SECONDS
        due = {chunk.attempt for chunk in batch if self._heard.get(chunk.attempt, before) <= before}
        if not due:
            return
        try:
            await heard(self._database, sorted(due))
        except Unavailable as error:
            logger.info("That lines came is noted with the next ones: %s", error)
            return
        self._heard.update(dict.fromkeys(due, now))
