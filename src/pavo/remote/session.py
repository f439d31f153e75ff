"""One session of this agent at a gateway: what is written, what is read, and who is silent."""

import asyncio
import contextlib
import itertools
import logging
import sqlite3
import uuid
from collections import deque
from collections.abc import Callable
from typing import Final

from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.versions import refusal
from pavo.remote.connection import CONNECT_SECONDS, Stream
from pavo.remote.diagnosis import NotConnected, Refused
from pavo.remote.dispatch import Dispatcher
from pavo.remote.journal import Attempt
from pavo.remote.spool import CHUNK_BYTES, Spool

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
"""Messages that wait to be written; the oldest goes beyond: results are sent again, the rest says how it is now."""
LEAST_SILENCE: Final = 5.0


class Outbox:
    """What is to be written next: messages, then lines of log as far as the gateway's credit goes. Belongs to one
    event loop."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: deque[pb.FromAgent] = deque(maxlen=MAX_WAITING)
        self._given: deque[tuple[Attempt, int, int]] = deque()
        """Chunks that are not acknowledged: attempt, last line, bytes."""
        self._credit = 0
        self._open = False
        self._wake = asyncio.Event()
        self._turn = 0

    def begin(self, credit: int) -> None:
        """A session has begun: what was said in the one before is said anew by those who said it."""
        self._waiting.clear()
        self._given.clear()
        self._credit, self._open = credit, True
        self._wake.set()

    def end(self) -> None:
        """There is no session."""
        self._open = False
        self._waiting.clear()

    def send(self, message: pb.FromAgent) -> None:
        """Have a message written, where there is a session."""
        if self._open:
            self._waiting.append(message)
            self._wake.set()

    def wake(self) -> None:
        """There are lines."""
        self._wake.set()

    def acknowledge(self, ack: pb.LogAck) -> None:
        """The gateway has lines."""
        attempt = Attempt(ack.job_id, ack.epoch)
        self._spool.acknowledge(attempt, ack.seq)
        self._given = deque(each for each in self._given if each[0] != attempt or each[1] > ack.seq)
        if ack.credit:
            self._credit = ack.credit
        self._wake.set()

    async def next(self) -> pb.FromAgent:
        """Wait for what is to be written."""
        while True:
            if self._waiting:
                return self._waiting.popleft()
            if (chunk := self._chunk()) is not None:
                return pb.FromAgent(log=chunk)
            self._wake.clear()
            await self._wake.wait()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._waiting

    def _chunk(self) -> pb.LogChunk | None:
        """Of each attempt in its turn."""
        room = self._credit - sum(size for _, _, size in self._given)
        waiting = self._spool.waiting()
        if not waiting or (room < CHUNK_BYTES // 8 and self._given):
            return None
        self._turn += 1
        attempt = waiting[self._turn % len(waiting)]
        chunk = self._spool.next_chunk(attempt, max(min(room, CHUNK_BYTES) * 3 // 4, 1))
        if chunk is not None:
            self._given.append((attempt, chunk.lines[-1].seq, chunk.ByteSize()))
        return chunk


class Session:
    """From its Hello to its end. Made anew for each stream.

    Args:
        capabilities: asked for when they are to be told.
    """

    def __init__(
        self,
        stream: Stream,
        dispatcher: Dispatcher,
        spool: Spool,
        outbox: Outbox,
        capabilities: Callable[[], pb.Capabilities],
    ) -> None:
        self._stream, self._dispatcher, self._spool, self._outbox = stream, dispatcher, spool, outbox
        self._capabilities = capabilities
        self._numbers = itertools.count(1)
        self.number = 0
        """That the gateway gave it; 0: it has not begun."""

    async def run(self, hello: pb.Hello) -> pb.Goodbye | None:
        """Talk until the stream ends; the gateway's last word, where it said one.

        Raises:
            NotConnected: the stream broke, or the gateway is silent.
            Refused: the gateway will not have this agent.
        """
        await self._stream.write(pb.FromAgent(hello=hello))
        welcome = await self._welcome()
        self.number = welcome.session
        logger.info("Connected to the gateway, session %s", self.number)
        self._outbox.begin(welcome.log_credit or CHUNK_BYTES)
        try:
            await self._compare(welcome)
            return await self._talk(welcome)
        finally:
            self._outbox.end()

    async def _welcome(self) -> pb.Welcome:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                first = await self._stream.read()
        except TimeoutError:
            raise NotConnected("The gateway does not answer.", "Look whether --url names a gateway of Pavo.") from None
        match first and first.WhichOneof("message"):
            case "welcome" if first is not None:
                if told := refusal(first.welcome.protocol, "gateway"):
                    raise Refused(told, "Upgrade the deployment, or install the agent program of its version.")
                return first.welcome
            case "goodbye" if first is not None:
                kind = NotConnected if first.goodbye.come_back else Refused
                raise kind(f"The gateway says: {first.goodbye.reason}", first.goodbye.remedy)
            case _:
                raise NotConnected("The gateway ended the stream before it began.", "It is tried again.")

    async def _compare(self, welcome: pb.Welcome) -> None:
        """What the gateway says of the attempts that are known here."""
        told = {Attempt(each.job_id, each.epoch): each for each in welcome.jobs}
        for attempt in self._spool.attempts():
            self._spool.begin_at(attempt, told[attempt].acked_log_seq if attempt in told else 0)
        for attempt, kept in told.items():
            if not kept.yours:
                await self._dispatcher.lose(attempt)
        await self._dispatcher.resend()
        for debt in welcome.debts:
            await self._dispatcher.take(debt_command(debt, welcome.session))

    async def _talk(self, welcome: pb.Welcome) -> pb.Goodbye | None:
        silence = max(float(welcome.silence_seconds), LEAST_SILENCE)
        reader = asyncio.create_task(self._read(silence))
        others = [
            asyncio.create_task(self._write(silence)),
            asyncio.create_task(self._greet(max(welcome.ping_seconds, 1))),
        ]
        try:
            done, _ = await asyncio.wait((reader, *others), return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
            return reader.result() if reader.done() else None
        finally:
            for each in (reader, *others):
                each.cancel()
            await asyncio.gather(reader, *others, return_exceptions=True)

    async def _read(self, silence: float) -> pb.Goodbye | None:
        while True:
            try:
                async with asyncio.timeout(silence):
                    message = await self._stream.read()
            except TimeoutError:
                detail = f"Nothing was heard of the gateway for {silence:.0f} s."
                raise NotConnected(detail, "It is tried again.") from None
            if message is None:
                return None
            if message.HasField("goodbye"):
                return message.goodbye
            try:
                await self._take(message)
            except sqlite3.Error as error:
                raise NotConnected(
                    f"The journal of this agent cannot be used: {error}.",
                    "Make room on the disk of its state directory.",
                ) from error

    async def _take(self, message: pb.ToAgent) -> None:
        match message.WhichOneof("message"):
            case "ping":
                self._outbox.send(pb.FromAgent(pong=pb.Pong(number=message.ping.number)))
            case "command":
                await self._dispatcher.take(message.command)
            case "cancel":
                cancel = message.cancel
                await self._dispatcher.cancel(Attempt(cancel.job_id, cancel.epoch), cancel.reason)
            case "result_ack":
                await self._dispatcher.acknowledge(message.result_ack.command_id)
            case "log_ack":
                self._outbox.acknowledge(message.log_ack)
            case "drain":
                # who is to be given what is the gateway's: refusing here too would outlive that somebody undoes it
                logger.info("This agent is given no new job until that is undone. %s", message.drain.reason[:300])
            case _:  # a pong, or what a newer gateway says
                pass

    async def _write(self, silence: float) -> None:
        """The only task that writes to the stream: two kill it."""
        while True:
            message = await self._outbox.next()
            try:
                async with asyncio.timeout(silence):
                    await self._stream.write(message)
            except TimeoutError:
                raise NotConnected("The gateway does not read what it is sent.", "It is tried again.") from None

    async def _greet(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self._outbox.send(pb.FromAgent(ping=pb.Ping(number=next(self._numbers))))


def debt_command(debt: pb.Cleanup, session: int) -> pb.Command:
    """Of a worktree whose attempt ended while this agent was away; another one in each session, until one went well."""
    with contextlib.suppress(ValueError):
        name = uuid.uuid5(uuid.UUID(debt.job_id), f"{debt.epoch}:debt:{session}")
        return pb.Command(id=str(name), job_id=debt.job_id, epoch=debt.epoch, cleanup=debt)
    return pb.Command(id=str(uuid.uuid4()), job_id=debt.job_id, epoch=debt.epoch, cleanup=debt)
