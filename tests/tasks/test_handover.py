"""A worker is taken for dead and its attempts are handed over: at once if it is, and harmlessly if it lives."""

import socket
import uuid
from collections.abc import Sequence

import httpx2
from temporalio.client import Client

from pavo.kit.sql import Database
from pavo.runs.handover import hand_over
from pavo.tasks.work.handover import held_by
from tests.driving import Tasks, ticks, types, until
from tests.parts import Parts, free_port

STEPS = 30


async def test_a_worker_that_lives_after_all_records_no_step_twice(
    parts: Parts, temporal: Client, database: Database
) -> None:
    queue, port = f"handover-{uuid.uuid4().hex[:8]}", str(free_port())
    own = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    processes = [await parts.start(name, **own) for name in ("worker", "worker", "api")]
    host = socket.gethostname()
    try:
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"X-User-Email": "handover@example.com"}, timeout=30
        ) as client:
            tasks = Tasks(client)
            path = await tasks.executing({"steps": STEPS, "step_seconds": 0.2})
            assert await held_by(database, f"{host}:1:") == []

            async def held() -> tuple[str, Sequence[str]] | None:  # between two batches nobody holds it
                for worker in processes[:2]:
                    if found := await held_by(database, f"{host}:{worker.pid}:"):
                        return f"{worker.pid}@{host}", found
                return None

            identity, found = await until(held, what="an attempt of a worker")
            assert found == [(await tasks.get(path))["workflow_id"]]
            assert await hand_over(temporal, found, identity=f"1@{host}") == 0
            assert await hand_over(temporal, found, identity=identity) == 1
            await tasks.wait(path, "DONE")
            events = await tasks.events(path)
    finally:
        for process in processes:
            process.end()
    assert ticks(events) == list(range(1, STEPS + 1))
    assert "retry" not in types(events)
