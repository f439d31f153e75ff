"""A worker process executes what waits for a local engine, and leaves it to others at once when it ends."""

import asyncio
import uuid
from collections.abc import Callable

from pavo.flows.definition.definition import Definition
from pavo.flows.ledger.records import RunRecord
from pavo.flows.runs import RunService
from pavo.kit.sql import Database
from tests.driving import until
from tests.parts import Parts

FLOW = "flow: f\nsteps: {a: {sleep: 10ms}, b: {needs: a, if: '${{ 1 < 2 }}', sleep: 4s}}"


async def test_a_worker_executes_runs_and_gives_them_up_when_it_ends(
    database: Database, parts: Parts, organisation: uuid.UUID, define: Callable[..., Definition]
) -> None:
    service, worker = RunService(database), await parts.start("worker")
    try:
        first = await service.begin(organisation, define(FLOW.replace("4s", "1ms")), {})

        async def read(run: uuid.UUID) -> RunRecord:
            return (await service.history(organisation, run)).run

        async def is_over() -> bool:
            return (await read(first)).is_over

        await until(is_over)
        assert (await read(first)).state == "succeeded"
        second = await service.begin(organisation, define(FLOW), {})

        async def is_held() -> bool:
            return (await read(second)).holder is not None

        await until(is_held)
    finally:
        await asyncio.to_thread(worker.end)
    found = await read(second)
    given_up = found.holder is None or f":{worker.pid}:" not in found.holder  # another worker may have it by now
    assert found.is_over or given_up
