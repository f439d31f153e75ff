"""A worker is taken for dead and its attempts are handed over: at once if it is, and harmlessly if it lives."""

import socket
import uuid

from temporalio.client import Client

from pavo.kit.sql import Database
from pavo.runs.handover import hand_over
from pavo.tasks.work.handover import held_by
from tests.driving import Tasks, ticks, types, until
from tests.parts import Part, Parts, free_port

STEPS = 30


async def test_a_worker_that_lives_after_all_records_no_step_twice(
    parts: Parts, temporal: Client, database: Database
) -> None:
    import httpx2

    queue, port = f"handover-{uuid.uuid4().hex[:8]}", str(free_port())
    own = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    workers = [await parts.start("worker", **own) for _ in range(2)]
    processes = [*workers, await parts.start("api", **own)]
    host = socket.gethostname()
    try:
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"X-User-Email": "handover@example.com"}, timeout=30
        ) as client:
            tasks = Tasks(client)
            path = await tasks.executing({"steps": STEPS, "step_seconds": 0.2})
            workflow_id = (await tasks.get(path))["workflow_id"]

            async def holder() -> Part | None:
                held = [worker for worker in workers if workflow_id in await held_by(database, f"{host}:{worker.pid}:")]
                return held[0] if held else None

            first = await until(holder, what="an attempt of one of the two")
            assert workflow_id not in await held_by(database, f"{host}:1:")
            assert await hand_over(temporal, [workflow_id], identity=f"1@{host}") == 0
            assert await hand_over(temporal, [workflow_id], identity=f"{first.pid}@{host}") == 1
            await tasks.wait(path, "DONE", seconds=60)
            events = await tasks.events(path)
    finally:
        for process in processes:
            process.end()
    assert ticks(events) == list(range(1, STEPS + 1))
    assert "retry" not in types(events)
