"""Ends start work: each once, of what is asked for, and no chain of them goes on for ever."""

import asyncio
import os
import signal
import sys
import uuid
from typing import Any

from sqlalchemy import text

from pavo.kit.sql import Database
from tests.triggers.sending import NAP, Triggers

PULL = NAP.replace("nap", "pull")


async def run(triggers: Triggers, flow: str, inputs: dict[str, Any] | None = None) -> str:
    body = {"inputs": inputs or {}, "engine": "local"}
    answer = await triggers.client.post(f"/api/flows/{flow}/runs", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def runs(triggers: Triggers, flow: str) -> list[Any]:
    found = (await triggers.client.get("/api/flow-runs", params={"limit": 200})).json()["items"]
    return [each for each in found if each["flow"] == flow]


async def test_the_end_of_a_flow_starts_a_task_once(triggers: Triggers) -> None:
    await triggers.publish(NAP)
    await triggers.publish(PULL)
    task = {"title": "After ${{ body.flow }} ${{ body.outcome }}", "auto_accept": True, "agent_options": {"steps": 1}}
    only = {"kind": "flow", "outcomes": ["succeeded"], "flows": ["pull"]}
    made = await triggers.create(when=only, starts={"task": task})
    assert (made["origin"], made["path"], made["secret"], made["when"]) == ("event", None, None, only)
    await run(triggers, "nap")
    await run(triggers, "pull", {"long": "nonsense"})
    first = await run(triggers, "pull")
    [firing] = await triggers.until(made["id"], lambda all_: bool(all_) and all_[0]["state"] == "started")
    assert (firing["cause_id"], firing["event"], firing["depth"]) == (first, "flow.ended", 1)
    task = (await triggers.client.get(f"/api/tasks/{firing['subject_id']}")).json()
    assert task["title"] == "After pull succeeded"
    await triggers.ask("POST", f"/{made['id']}/rotate", status=409)


async def test_tasks_too_and_nobody_elses(triggers: Triggers, others: Triggers) -> None:
    for each in (triggers, others):
        await each.publish(NAP)
    starts = {"flow": {"name": "nap"}}
    mine = await triggers.create(when={"kind": "task"}, starts=starts)
    paused = await triggers.create(when={"kind": "task"}, starts=starts)
    await triggers.ask("POST", f"/{paused['id']}/pause", json={"reason": "not now"})
    failed = await triggers.create(when={"kind": "task", "outcomes": ["failed", "cancelled"]}, starts=starts)
    foreign = await others.create(when={"kind": "task"}, starts=starts)
    hook = await triggers.create()
    taken = await triggers.send(hook)
    [firing] = await triggers.until(mine["id"], lambda all_: bool(all_) and all_[0]["outcome"] == "succeeded")
    assert (firing["cause_id"], firing["depth"], firing["kind"]) == (taken["subject_id"], 1, "flow")
    for each in (paused, failed):
        assert await triggers.firings(each["id"]) == []
    assert await others.firings(foreign["id"]) == []


async def test_a_chain_that_begins_anew_ends(triggers: Triggers) -> None:
    await triggers.publish(NAP)
    made = await triggers.create(when={"kind": "flow", "flows": ["nap"]}, starts={"flow": {"name": "nap"}})
    await run(triggers, "nap")
    found = await triggers.until(made["id"], lambda all_: any(each["state"] == "skipped" for each in all_))
    assert [each["depth"] for each in found] == [*range(1, 10)]
    assert [each["state"] for each in found] == ["started"] * 8 + ["skipped"]
    assert "number 9 of a chain" in found[-1]["told"]
    assert len(await runs(triggers, "nap")) == 9
    shown = await triggers.ask("GET", f"/{made['id']}")
    assert shown["paused"] is None, "another run of the flow begins another chain"


async def test_an_engine_that_dies_as_a_run_ends_starts_it_once(
    triggers: Triggers, environment: dict[str, str], database: Database
) -> None:
    """The end is written by several processes, all of which die: before it is committed, or just after."""
    await triggers.publish(NAP)
    made = await triggers.create(when={"kind": "flow"}, starts={"flow": {"name": "nap"}}, condition="${{ false }}")
    ids = [await run(triggers, "nap", {"long": "1h"}) for _ in range(2)]
    for run_id in ids:
        for point in ("before", "after"):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.triggers.ending", point, run_id, env={**os.environ, **environment}
            )
            assert await process.wait() == -signal.SIGKILL
            async with database.reading() as session:
                count = text("SELECT count(*) FROM trigger_firings WHERE cause_id = :id")
                found = (await session.execute(count, {"id": uuid.UUID(run_id)})).scalar_one()
            assert found == (1 if point == "after" else 0), point
    found = await triggers.until(made["id"], lambda all_: len(all_) == 2 and all(e["state"] == "skipped" for e in all_))
    assert {each["cause_id"] for each in found} == set(ids)


async def test_what_a_step_has_done_counts_to_the_chain(triggers: Triggers) -> None:
    """A trigger has started a run, whose step is a run, whose step is a task: that task's end is the second link."""
    await triggers.publish(NAP)
    await triggers.publish(PULL)
    await triggers.publish("flow: work\nsteps: {a: {agent: intern, with: {title: A step, options: {steps: 1}}}}")
    await triggers.publish("flow: outer\nsteps: {a: {flow: work@1}}")
    work = {"flow": {"name": "outer", "engine": "temporal"}}
    below = await triggers.create(when={"kind": "flow", "flows": ["work"]}, starts={"flow": {"name": "pull"}})
    first = await triggers.create(when={"kind": "flow", "flows": ["nap"]}, starts=work)
    second = await triggers.create(when={"kind": "task"}, starts={"flow": {"name": "pull"}})
    await run(triggers, "nap")
    [one] = await triggers.until(first["id"], lambda all_: bool(all_) and all_[0]["outcome"] == "succeeded")
    [two] = await triggers.until(second["id"], lambda all_: bool(all_) and all_[0]["outcome"] == "succeeded")
    assert (one["depth"], two["depth"]) == (1, 2)
    assert await triggers.firings(below["id"]) == [], "a step's run is a part of its parent"
