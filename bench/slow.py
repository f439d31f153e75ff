"""(i) What viewers that never read cost: the API's memory, and how late events of another task reach others."""

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from bench.arms.pavo import Pavo
from bench.measure import Figures, environment, stream_latency
from bench.proc import until, usage
from pavo.kit.sql import Database
from pavo.timeline import service
from pavo.timeline.domain import NewEvent
from pavo.timeline.publish import Publisher

EVENT_BYTES = 60_000
EVENTS, EVERY = 400, 0.1
"""Of the others' task, in number and seconds; those who read nothing are cut after 30 of them (PAVO_SEND_SECONDS)."""
SETTLED_SECONDS = 15.0
"""After which the memory is back."""


async def slow_viewers(pavo: Pavo, slow: int, beside: int) -> Figures:
    """So many viewers of 60 KB events that read nothing, and are cut, while others follow a task of small ones."""
    task = await pavo.create(1, start=False)
    api = pavo.part("api")["pid"]
    output = str(pavo.group.folder / f"slow-{task}")
    place = f"/api/tasks/{task}/stream"
    command = [sys.executable, "-m", "bench.slow_viewers", str(pavo.port), place, str(slow), "--output", output]
    viewers = pavo.group.start(command, log="slow-viewers", grace=1)
    await until(Path(output + ".ready").exists, seconds=120, what="The slow viewers", logs=pavo.group)
    connecting = float(Path(output + ".ready").read_text())
    before = peak = usage([api]).memory_mb
    telling = asyncio.create_task(_tell(pavo, task))
    measuring = asyncio.create_task(stream_latency(pavo, beside, EVENTS, EVERY))
    while not measuring.done():
        peak = max(peak, usage([api]).memory_mb)
        await asyncio.sleep(0.2)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    await asyncio.sleep(SETTLED_SECONDS)
    after = usage([api]).memory_mb
    pavo.group.kill(viewers)
    figures = measuring.result()
    figures["connecting_s"] = connecting
    return {**figures, "memory_before_mb": before, "memory_peak_mb": peak, "memory_after_mb": after}


async def _tell(pavo: Pavo, task: str) -> None:
    """Append a large event ten times a second, until cancelled."""
    async with _teller(pavo) as (database, publisher):
        event = NewEvent("large", {"text": "x" * EVENT_BYTES})
        while True:
            async with database.transaction() as session:
                recorded = await service.append(session, uuid.UUID(task), [event])
            publisher.publish(recorded)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _teller(pavo: Pavo) -> AsyncGenerator[tuple[Database, Publisher]]:
    found = environment(pavo)
    database, redis = Database(found["DATABASE_URL"], pool_size=2), Redis.from_url(found["REDIS_URL"])
    publisher = Publisher(redis)
    publisher.start()
    try:
        yield database, publisher
    finally:
        with contextlib.suppress(Exception):
            await publisher.close()
        await redis.aclose()
        await database.close()
