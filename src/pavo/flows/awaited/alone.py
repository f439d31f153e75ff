"""A run that one process executes alone, with all runs below it, while it looks at what their steps await."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress

from pavo.errors import Unavailable
from pavo.flows.awaited.watching import WorkWatch
from pavo.flows.ledger.records import RunRecord
from pavo.flows.ledger.works import awaited, children
from pavo.flows.local.engine import LOOK_SECONDS, LocalEngine
from pavo.kit.cancellation import end
from pavo.kit.sql import Database


async def run_alone(
    database: Database, engine: LocalEngine, watch: WorkWatch, run_id: uuid.UUID, asked: Callable[[uuid.UUID], None]
) -> RunRecord:
    """Execute a run of the local engine until it is over, or nobody but people can go on with it.

    Args:
        asked: told of each gate that the run and those below it have opened, once.

    Raises:
        NotFound, Unavailable: as `LocalEngine.run`.
    """
    family = _Family(database, engine, asked)
    beside = [asyncio.create_task(watch.run()), asyncio.create_task(family.follow(run_id))]
    try:
        return await engine.run(run_id)
    finally:
        await end(*beside)
        await end(*family.running.values())


class _Family:
    def __init__(self, database: Database, engine: LocalEngine, asked: Callable[[uuid.UUID], None]) -> None:
        self._database, self._engine, self._asked = database, engine, asked
        self.running: dict[uuid.UUID, asyncio.Task[RunRecord]] = {}
        self._told = set[uuid.UUID]()

    async def follow(self, run_id: uuid.UUID) -> None:
        """Without an end."""
        while True:
            with suppress(Unavailable):  # whoever executes the run finds that, too
                await self._look(run_id)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, run_id: uuid.UUID) -> None:
        async with self._database.reading() as session:
            below = await children.open_below(session, run_id)
            gates: Sequence[uuid.UUID] = await awaited.gates(session, [run_id, *below])
        for each in below:
            task = self.running.get(each)
            if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
                self.running[each] = asyncio.create_task(self._engine.run(each), name=f"run {each}")
        for gate in gates:
            if gate not in self._told:
                self._told.add(gate)
                self._asked(gate)
