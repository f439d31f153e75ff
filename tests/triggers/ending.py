"""A process that writes the end of a run, and dies before its commit, or after: `python -m tests.triggers.ending`."""

import asyncio
import os
import signal
import sys
import uuid

from sqlalchemy import text

from pavo import bootstrap, config

BOUND_SECONDS = 60.0
END = text("UPDATE flow_runs SET state = 'cancelled', ended_at = pavo_now() WHERE id = :id AND state <> 'cancelled'")


async def main(point: str, run_id: uuid.UUID) -> None:
    """Write it as far as the point."""
    database = bootstrap.build_database(config.load())
    async with asyncio.timeout(BOUND_SECONDS):
        async with database.transaction() as session:
            await session.execute(END, {"id": run_id})
            if point == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], uuid.UUID(sys.argv[2])))
