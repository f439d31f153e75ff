"""What waits to be written to one agent: in order, bounded, written by one task alone."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final

from pavo.protocol import fleet_pb2 as pb

MAX_MESSAGES: Final = 1_024
MAX_BYTES: Final = 16_000_000
"""Of commands and what else waits for an agent that does not read."""

AttemptKey = tuple[str, int]
"""Job and epoch."""


class Outbox:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[pb.ToAgent] = deque()
        self._bytes = 0
        self._acks: dict[AttemptKey, pb.LogAck] = {}
        self._closed = False
        self._wake = asyncio.Event()

    def put(self, message: pb.ToAgent) -> bool:
        """Add a message; False: too much waits, or it is closed."""
        size = message.ByteSize()
        if self._closed or len(self._waiting) >= MAX_MESSAGES or self._bytes + size > MAX_BYTES:
            return False
        self._waiting.append(message)
        self._bytes += size
        self._wake.set()
        return True

    def acknowledge(self, ack: pb.LogAck) -> None:
        """Add an acknowledgement; it takes the place of an earlier one of the same attempt, and says no less: lines
        that are sent once more, after others, are acknowledged after them."""
        if not self._closed:
            attempt = (ack.job_id, ack.epoch)
            if attempt in self._acks:
                ack.seq = max(ack.seq, self._acks[attempt].seq)
            self._acks[attempt] = ack
            self._wake.set()

    def close(self, last: pb.ToAgent | None = None) -> None:
        """Take nothing more. What waits is dropped where there is a last word, which is written next."""
        self._closed = True
        if last is not None:
            self._waiting = deque([last])
            self._bytes = last.ByteSize()
        self._wake.set()

    @property
    def acks(self) -> Mapping[AttemptKey, pb.LogAck]:
        """That wait."""
        return self._acks

    async def take(self) -> pb.ToAgent | None:
        """What is to be written next; None: it is closed, and everything was taken."""
        while True:
            if self._waiting:
                message = self._waiting.popleft()
                self._bytes -= message.ByteSize()
                return message
            if self._acks and not self._closed:
                return pb.ToAgent(log_ack=self._acks.pop(next(iter(self._acks))))
            if self._closed:
                return None
            self._wake.clear()
            await self._wake.wait()
