"""Processes die between any two lines of beginning a firing: each time still starts one task, by a worker's rounds."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta

from tests.schedules.scheduling import Schedules

POINTS = ("written", "starting", "made", "noted", "begun")


async def test_none_is_lost_and_none_is_doubled(schedules: Schedules, environment: dict[str, str]) -> None:
    made = await schedules.create(times={"cron": ["0 * * * *"]}, overlap="ALLOW_ALL")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    dying = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.schedules.dying",
            point,
            made["id"],
            "1",
            (now - timedelta(hours=hours)).isoformat(),
            env={**os.environ, **environment},
        )
        for hours, point in enumerate(POINTS, 1)
    ]
    ended = await asyncio.gather(*(each.wait() for each in dying))
    assert set(ended) == {-signal.SIGKILL}, ended
    found = await schedules.until(
        made["id"], lambda all_: len(all_) == len(POINTS) and all(each["outcome"] == "DONE" for each in all_)
    )
    subjects = {each["subject_id"] for each in found}
    tasks = (await schedules.client.get("/api/tasks", params={"limit": 200})).json()["items"]
    assert {each["id"] for each in tasks} == subjects and len(subjects) == len(tasks) == len(POINTS)
    assert {each["attempt"] for each in found} == {1}
