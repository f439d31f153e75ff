"""`pavo deploy check`, as people type it."""

import asyncio
import json
import os
import sys

from tests.driving import QUICK, Tasks
from tests.parts import free_port


async def check(*words: str, environment: dict[str, str], expect: int = 0) -> str:
    """Run it; its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pavo.cli.main", "deploy", "check", *words),
        env={**os.environ, "NO_COLOR": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(process.communicate(), 110)
    assert process.returncode == expect, said.decode() + errors.decode()
    assert not expect or b"Traceback" not in errors
    return (said if "json" in words else said + errors).decode()


async def test_a_healthy_installation_passes_and_its_open_tasks_replay(
    tasks: Tasks, environment: dict[str, str]
) -> None:
    await tasks.reviewable(QUICK)
    found = json.loads(await check("-o", "json", environment=environment))
    assert found["ok"] and found["histories"]["broken"] == [] and found["histories"]["looked_at"] >= 1
    by_name = {line["name"]: line for line in found["checks"]}
    wanted = {"settings", "postgres", "redis", "temporal", "versions", "clock", "connections", "migration"}
    assert wanted <= set(by_name) and "fail" not in {line["status"] for line in found["checks"]}
    text = await check(environment=environment)
    assert "The rollout may go on" in text and "open histories" in text


async def test_what_is_away_stops_the_rollout(environment: dict[str, str]) -> None:
    away = {**environment, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    found = json.loads(await check("-o", "json", environment=away, expect=1))
    assert not found["ok"]
    assert [line["name"] for line in found["checks"] if line["status"] == "fail"] == ["redis"]
    assert "Do not roll out" in await check(environment=away, expect=1)
    assert "Pass 1 or more" in await check("--limit", "0", environment=environment, expect=2)
