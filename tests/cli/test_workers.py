"""`pavo deploy workers`, as people type it."""

import asyncio
import json
import os
import sys
import uuid

from tests.parts import Parts


async def pavo(*words: str, environment: dict[str, str], expect: int = 0) -> str:
    """Run a command; its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pavo.cli.main", "deploy", "workers", *words),
        env={**os.environ, "NO_COLOR": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 110)
    assert process.returncode == expect, said.decode()
    return said.decode()


async def test_versions_are_shown_changed_and_rolled_back(parts: Parts) -> None:
    name = f"pavo-{uuid.uuid4().hex[:8]}"
    own = {"TEMPORAL_TASK_QUEUE": name, "PAVO_WORKER_DEPLOYMENT": name}
    environment = {**parts.environment, **own}
    assert "PAVO_WORKER_BUILD_ID" in await pavo(environment=environment)
    started = [await parts.start("worker", **own, PAVO_WORKER_BUILD_ID=build) for build in ("one", "two")]
    found = json.loads(await pavo("-o", "json", environment=environment))
    assert found["current"] == "one" and {version["build_id"] for version in found["versions"]} == {"one", "two"}
    found = json.loads(await pavo("--set-current", "two", "--ramp", "25", "-o", "json", environment=environment))
    assert (found["current"], found["ramping"], found["ramp_percent"]) == ("one", "two", 25)
    said = await pavo("--set-current", "two", "--drain", environment=environment)
    assert "current" in said and "All tasks are on the current version" in said
    said = await pavo("--rollback", "one", "-o", "json", environment=environment)
    assert json.loads(said)["current"] == "one" and json.loads(said)["left"] == {}
    said = await pavo("--take-over", "two", "-o", "json", environment=environment)
    assert json.loads(said)["current"] == "one"
    for part in started:
        part.end()
    assert "answers" in await pavo("--set-current", "two", environment=environment, expect=4)
    assert "three" in await pavo("--set-current", "three", environment=environment, expect=3)
    assert "--ramp" in await pavo("--ramp", "5", environment=environment, expect=2)
