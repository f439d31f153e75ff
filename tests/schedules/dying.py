"""A process that has a firing begin, as a worker does, and dies between two lines of that.

    python -m tests.schedules.dying POINT SCHEDULE_ID VERSION TIME

Points: written: its row is there; starting; made; noted: what was made; begun.
"""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from pavo import bootstrap, config
from pavo.kit.sql import KeptConnections
from pavo.runs.kinds import WorkerClients
from pavo.schedules.firing.activities import FiringRecorder
from pavo.schedules.firing.contracts import Fired
from pavo.schedules.firing.starter import Starter
from pavo.starts.firings import Firings
from pavo.starts.wiring import works_of
from pavo.temporal.client import connect
from pavo.timeline.publish import Publisher
from pavo.works.task_work import TaskWork

BOUND_SECONDS = 60.0


async def die(*_: Any, **__: Any) -> Any:
    """At once."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(point: str) -> None:
    """Have the line after the point be the last one."""
    make: Any = TaskWork.make

    async def make_and_die(*arguments: Any) -> Any:
        await make(*arguments)
        await die()

    places: dict[str, tuple[Any, str, Any]] = {
        "written": (Starter, "_next", die),
        "starting": (TaskWork, "make", die),
        "made": (TaskWork, "make", make_and_die),
        "noted": (TaskWork, "begin", die),
        "begun": (Firings, "started", die),
    }
    setattr(*places[point])


async def main(point: str, schedule_id: str, version: int, moment: datetime) -> None:
    """Begin it as far as the point."""
    settings = config.load()
    async with asyncio.timeout(BOUND_SECONDS), AsyncExitStack() as closing:
        database, redis = bootstrap.build_database(settings), bootstrap.build_redis(settings)
        publisher = Publisher(redis)
        publisher.start()
        clients = WorkerClients(
            settings,
            database,
            redis,
            await connect(settings.temporal),
            publisher,
            closing,
            new_database=lambda: database,
            new_redis=lambda: redis,
            keep=lambda found: KeptConnections(found, 1),
            begin_anew=lambda: None,
        )
        starter = Starter(database, works_of(clients, clients.keep(database)))
        die_at(point)
        await FiringRecorder(database, starter).fire(Fired(schedule_id, version, moment))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), datetime.fromisoformat(sys.argv[4])))
