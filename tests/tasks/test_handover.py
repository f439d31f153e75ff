"""A worker is taken for dead and its attempts are handed over: at once if it is, and harmlessly if it lives."""

import socket
import uuid

import httpx2
from sqlalchemy import text
from temporalio.client import Client

from pavo.kit.sql import Database
from pavo.tasks.handover import hand_over
from tests.driving import Tasks, ticks, types
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
            pid = await holder(database, path)
            assert pid in [str(worker.pid) for worker in processes[:2]]
            assert await hand_over(database, temporal, holder=f"{host}:1:", identity=f"1@{host}") == 0
            assert await hand_over(database, temporal, holder=f"{host}:{pid}:", identity=f"{pid}@{host}") == 1
            await tasks.wait(path, "DONE")
            events = await tasks.events(path)
    finally:
        for process in processes:
            process.end()
    assert ticks(events) == list(range(1, STEPS + 1))
    assert "retry" not in types(events)


async def holder(database: Database, task: str) -> str:
    """The pid of the worker that holds the task's lease."""
    async with database.autocommit() as connection:
        question = text("SELECT split_part(holder, ':', 2) FROM executions WHERE task_id = :task")
        return (await connection.execute(question, {"task": task})).scalar_one()
