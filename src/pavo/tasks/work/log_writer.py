"""Gathers what agents print and writes it to their tasks' logs, bounded for each task in bytes and bytes a second."""

import asyncio
import logging
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

from pavo.agents.checks import storable
from pavo.agents.output import Sink
from pavo.errors import Unavailable
from pavo.kit.cancellation import KeptRunning
from pavo.kit.sql import Database, KeptConnection
from pavo.tasks.sql.logs import MAX_CHUNK_BYTES, MAX_TASK_BYTES, NewChunk, add_chunks, trim

logger = logging.getLogger(__name__)

BYTES_A_SECOND: Final = 32_000
"""Of one task, on average: more than anybody reads, and little beside what steps write."""
BURST_BYTES: Final = 256_000
"""What a task may print at once, a long traceback or a listing; also what waits for PostgreSQL at most."""
GATHER_SECONDS: Final = 0.2
CHUNKS_AT_ONCE: Final = 64
"""Chunks of one statement."""
_TRIM_EVERY: Final = MAX_TASK_BYTES // 8


@dataclass(slots=True)
class _Output:
    """Of one attempt."""

    task_id: uuid.UUID
    attempt: int
    allowance: float = BURST_BYTES
    filled_at: float = field(default_factory=time.monotonic)
    waiting: list[str] = field(default_factory=list[str])
    bytes_waiting: int = 0
    left_out: int = 0

    def add(self, text: str) -> None:
        now = time.monotonic()
        self.allowance = min(BURST_BYTES, self.allowance + (now - self.filled_at) * BYTES_A_SECOND)
        self.filled_at = now
        taken, size = _beginning(text, min(int(self.allowance), BURST_BYTES - self.bytes_waiting))
        whole = len(taken) == len(text)
        if taken and self.left_out:
            note = f"\n… {self.left_out:,} bytes left out: too much at once\n"
            self.waiting.append(note)
            self.left_out = 0
        if taken:
            self.waiting.append(taken)
        self.allowance -= size
        self.bytes_waiting += size
        self.left_out += 0 if whole else len(text.encode()) - size

    def take(self) -> str:
        text = "".join(self.waiting)
        self.waiting.clear()
        self.bytes_waiting = 0
        return text


class LogWriter:
    """Belongs to the event loop that calls `start`; its sinks take text from any thread."""

    def __init__(self, database: Database) -> None:
        self._connection = KeptConnection(database)
        # One that this thread may take twice: the collector may run in between, and have what it collects print.
        self._lock = threading.RLock()
        self._outputs: dict[tuple[uuid.UUID, int], _Output] = {}
        self._since_trim: dict[uuid.UUID, int] = {}
        self._unwritten: list[NewChunk] = []
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: KeptRunning | None = None

    def start(self) -> None:
        """Begin writing on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = KeptRunning(self._run, "log-writer")

    async def close(self) -> None:
        """Write what waits, as far as PostgreSQL takes it, and stop."""
        if self._task is not None:
            await self._task.end()
        try:
            await self._write()
        except Unavailable as error:
            logger.warning("What agents printed last is lost: %s", error)
        await self._connection.close()

    def sink(self, task_id: uuid.UUID, attempt: int) -> Sink:
        """Takes the output of one attempt."""

        def take(text: str) -> None:
            with self._lock:
                key = (task_id, attempt)
                output = self._outputs.get(key) or self._outputs.setdefault(key, _Output(task_id, attempt))
                output.add(storable(text, BURST_BYTES))
            if self._loop is not None and not self._wake.is_set():
                self._loop.call_soon_threadsafe(self._wake.set)

        return take

    async def _run(self) -> None:
        self._wake.set()  # what waited where it was cut
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)  # gather: an agent that prints prints again
            self._wake.clear()
            try:
                await self._write()
            except Unavailable:
                self._wake.set()  # it waits, and what does not fit is left out
            except Exception:
                logger.exception("What agents printed cannot be stored.")
                self._unwritten.clear()

    async def _write(self) -> None:
        if not self._unwritten:
            self._unwritten = self._taken()
        while self._unwritten:
            chunks = self._unwritten[:CHUNKS_AT_ONCE]
            await add_chunks(self._connection, chunks)
            self._unwritten = self._unwritten[CHUNKS_AT_ONCE:]
            for task_id in {chunk.task_id for chunk in chunks}:
                await self._trim(task_id, sum(len(chunk.body) for chunk in chunks if chunk.task_id == task_id))

    async def _trim(self, task_id: uuid.UUID, size: int) -> None:
        # The first time too: other processes have written to this log before.
        written = self._since_trim.get(task_id, _TRIM_EVERY) + size
        if written >= _TRIM_EVERY:
            await trim(self._connection, task_id)
            written = 0
        self._since_trim[task_id] = written

    def _taken(self) -> list[NewChunk]:
        with self._lock:
            taken = [(output, output.take()) for output in list(self._outputs.values())]
            # Whoever prints nothing for a while begins with a full allowance again.
            idle = [key for key, output in list(self._outputs.items()) if time.monotonic() - output.filled_at > 60]
            for key in idle:
                del self._outputs[key]
                self._since_trim.pop(key[0], None)
        return [NewChunk(o.task_id, o.attempt, part) for o, text in taken for part in _chunks(text)]


def _beginning(text: str, size: int) -> tuple[str, int]:
    """As much of the text as fits so many bytes, and its bytes."""
    data = text.encode()
    if len(data) <= size:
        return text, len(data)
    kept = data[: max(0, size)].decode(errors="ignore")
    return kept, len(kept.encode())


def _chunks(text: str) -> list[str]:
    found: list[str] = []
    while text:
        part, _ = _beginning(text, MAX_CHUNK_BYTES)
        found.append(part)
        text = text[len(part) :]
    return found
