"""A question outlives workers and weeks."""

from datetime import timedelta

import httpx2

from tests.clock import Clock
from tests.driving import until
from tests.gates.asking import Asked, Own, question

WEEK = timedelta(days=7)


async def test_an_answer_after_three_weeks(own: Own, asked: Asked, clock: Clock) -> None:
    await asked.start(
        "asking", question("now"), question("soon", expires=timedelta(days=10).total_seconds(), default="x")
    )
    now, _ = await asked.gates(count=2)
    workflow = (await asked.tasks.get(asked.id))["workflow_id"]
    await clock.forward(WEEK, workflow)
    own.worker.end()
    own.worker = await own.parts.start("worker", **own.environment)
    assert len(await asked.gates(count=2)) == 2
    await clock.forward(2 * WEEK, workflow)
    [soon] = await asked.gates("answered")
    assert (soon["key"], soon["answer"], soon["answered_by"]) == ("soon", "x", "policy:default")
    [still] = await asked.gates()
    assert (still["id"], still["state"]) == (now["id"], "open")
    await until(lambda: oldest(asked.client, WEEK), what="the age of the oldest question")
    await asked.answer(still, "at last")
    assert await asked.done() == "{'now': 'at last', 'soon': 'x'}"


async def oldest(client: httpx2.AsyncClient, at_least: timedelta) -> bool:
    lines = (await client.get("/metrics")).text.splitlines()
    shown = dict(line.rsplit(" ", 1) for line in lines if line.startswith("pavo_gates"))
    return float(shown["pavo_gates_open"]) >= 1 and float(shown["pavo_gates_oldest_seconds"]) > at_least.total_seconds()
