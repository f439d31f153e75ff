"""Processes die between any two lines of beginning a firing: each message still starts one task, by a worker."""

import asyncio
import os
import signal
import sys
import uuid

from sqlalchemy import text

from pavo.kit.sql import Database
from pavo.triggers.firing import ledger
from tests.triggers.sending import BODY, Triggers

LOOKED = text(
    "UPDATE trigger_firings SET looked_at = pavo_now() + CAST(:looked AS interval) WHERE trigger_id = :trigger"
)
POINTS = ("decided", "starting", "made", "noted", "begun")


async def test_none_is_lost_and_none_is_doubled(
    triggers: Triggers, environment: dict[str, str], database: Database
) -> None:
    made = await triggers.create()
    trigger_id = uuid.UUID(made["id"])
    ids = list[uuid.UUID]()
    for point in POINTS:
        async with database.transaction() as session:
            ids.append(await ledger.add(session, trigger_id, f"id:{point}", "", BODY))
            await session.execute(LOOKED, {"looked": "50 seconds", "trigger": trigger_id})  # workers leave it alone
    dying = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.triggers.dying", point, str(firing_id), env={**os.environ, **environment}
        )
        for point, firing_id in zip(POINTS, ids, strict=True)
    ]
    ended = await asyncio.gather(*(each.wait() for each in dying))
    assert set(ended) == {-signal.SIGKILL}, ended
    async with database.transaction() as session:
        await session.execute(LOOKED, {"looked": None, "trigger": trigger_id})
    found = await triggers.until(made["id"], lambda all_: all(each["outcome"] == "DONE" for each in all_))
    assert len(found) == len(POINTS)
    subjects = {each["subject_id"] for each in found}
    tasks = (await triggers.client.get("/api/tasks", params={"limit": 200})).json()["items"]
    assert {each["id"] for each in tasks} == subjects and len(subjects) == len(tasks) == len(POINTS)
