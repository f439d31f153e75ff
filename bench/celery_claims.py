"""What `python -m bench.claims` measures beside Pavo's claims: messages that a Celery worker takes from Valkey.

A message is taken where its task begins; the task writes that down, and does nothing else. It is not what a claim is:
nobody is chosen, nothing is fair, one at a time or leased, and what a worker that dies had taken is gone or comes again
after an hour. First all messages wait before the worker starts, so that sending costs nothing of what is measured; then
they are sent at a rate, and each one's time counts from when it was due.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar, cast

from bench.arms.celery import Celery
from bench.proc import Group

READY_SECONDS = 60.0


class CeleryTakes(Celery):
    """Celery, where it takes messages in threads."""

    title: ClassVar[str] = "Celery, 50 threads, Valkey"
    POOL: ClassVar[tuple[str, int]] = ("threads", 50)

    async def all_waiting(self, count: int) -> tuple[float, float]:
        """Messages a second, and CPU ms of each, the worker's and Valkey's, its start included."""
        send = self._send()
        for _ in range(count):
            send(time.time(), "waiting")
        before = self.group.usage().cpu
        self.start_worker()
        taken = sorted(moment for moment, _ in await self._records("waiting", count))
        cpu = self.group.usage().cpu - before
        return (count - 1) / (taken[-1] - taken[0]), 1_000 * cpu / count

    async def at_rate(self, rate: float, seconds: float) -> list[float]:
        """Milliseconds from when each was due until it was taken, in order."""
        send = self._send()
        begun, count = time.time(), int(rate * seconds)
        for number in range(count):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.time()))
            send(due, "rate")
        return sorted(1_000 * late for _, late in await self._records("rate", count))

    def _send(self) -> Callable[[float, str], object]:
        from bench.arms import celery_app  # it reads where Valkey is

        return cast(Any, celery_app.taken).delay

    async def _records(self, key: str, count: int) -> list[tuple[float, float]]:
        """When each was taken, and how late."""
        end = time.monotonic() + READY_SECONDS
        while await self._redis.llen(key) < count:  # pyright: ignore[reportGeneralTypeIssues]
            if time.monotonic() > end:
                raise RuntimeError(f"Celery did not take {count} messages\n{self.group.logs()}")
            await asyncio.sleep(0.05)
        found = cast(list[bytes], await self._redis.lrange(key, 0, -1))  # pyright: ignore[reportGeneralTypeIssues]
        pairs = (each.decode().split() for each in found)
        return [(float(moment), float(late)) for moment, late in pairs]


async def measure(group: Group, seconds: float, rate: float) -> tuple[float, float, float, float]:
    """A round: messages a second, CPU ms of each, p50 and p99 ms at the rate."""
    arm = CeleryTakes(group)
    await arm.start_broker()
    try:
        per_second, cpu_ms = await arm.all_waiting(int(500 * seconds))
        late = await arm.at_rate(rate, seconds)
    finally:
        await arm.stop()
    return per_second, cpu_ms, late[len(late) // 2], late[len(late) * 99 // 100]
