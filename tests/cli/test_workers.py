"""`pavo deploy workers`, as people type it."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
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


@pytest_asyncio.fixture(scope="module")
async def two(parts: Parts) -> AsyncIterator[dict[str, str]]:
    """Workers of two builds; what the commands are given."""
    name = f"pavo-{uuid.uuid4().hex[:8]}"
    own = {"TEMPORAL_TASK_QUEUE": name, "PAVO_WORKER_DEPLOYMENT": name}
    started = [await parts.start("worker", **own, PAVO_WORKER_BUILD_ID=build) for build in ("one", "two")]
    yield {**parts.environment, **own}
    for part in started:
        part.end()


async def test_versions_are_shown_and_changed(two: dict[str, str]) -> None:
    found = json.loads(await pavo("-o", "json", environment=two))
    assert found["current"] == "one" and {version["build_id"] for version in found["versions"]} == {"one", "two"}
    found = json.loads(await pavo("--set-current", "two", "--ramp", "25", "-o", "json", environment=two))
    assert (found["current"], found["ramping"], found["ramp_percent"]) == ("one", "two", 25)
    said = await pavo("--set-current", "two", "--drain", environment=two)
    assert "current" in said and "All runs are on the current version" in said


async def test_versions_are_rolled_back(two: dict[str, str]) -> None:
    said = await pavo("--rollback", "one", "-o", "json", environment=two)
    assert json.loads(said)["current"] == "one" and json.loads(said)["left"] == {}
    said = await pavo("--take-over", "two", "-o", "json", environment=two)
    assert json.loads(said)["current"] == "one"


async def test_a_version_without_workers_is_not_made_current(parts: Parts) -> None:
    name = f"pavo-{uuid.uuid4().hex[:8]}"
    own = {"TEMPORAL_TASK_QUEUE": name, "PAVO_WORKER_DEPLOYMENT": name}
    environment = {**parts.environment, **own}
    assert "PAVO_WORKER_BUILD_ID" in await pavo(environment=environment)
    (await parts.start("worker", **own, PAVO_WORKER_BUILD_ID="two")).end()
    assert "answers" in await pavo("--set-current", "two", environment=environment, expect=4)
    assert "three" in await pavo("--set-current", "three", environment=environment, expect=3)
    assert "--ramp" in await pavo("--ramp", "5", environment=environment, expect=2)
