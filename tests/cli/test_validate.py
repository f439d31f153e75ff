"""`pavo validate`, as people type it, on a stack of its own."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from tests.driving import until
from tests.parts import free_port

from pavo.deploy.local import liveness
from pavo.deploy.local.stack import STORES, EmbeddedStack
from pavo.deploy.validation.contracts import CHECKS
from pavo.kit.migrate import upgrade


async def pavo(*words: str, expect: int = 0, **environment: str) -> str:
    """Run a command beside the stack's supervisor, which lives in this process; its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "TEMPORAL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pavo.cli.main", *words),
        env={**kept, "NO_COLOR": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == expect, said.decode() + errors.decode()
    return (said + (errors if expect and "json" not in words else b"")).decode()


def lines(said: str) -> dict[str, Any]:
    return {check["name"]: check for check in json.loads(said)["checks"]}


@pytest_asyncio.fixture(scope="module")
async def own() -> AsyncIterator[EmbeddedStack]:
    with tempfile.TemporaryDirectory(prefix="pavo-validate-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's own user walks through it
        async with EmbeddedStack(Path(folder) / "data", parts=STORES) as stack:
            yield stack


async def test_it_proves_the_stack_and_reads_back(own: EmbeddedStack) -> None:
    data = str(own.layout.root)
    said = json.loads(await pavo("validate", "--repeat", "3", "--data-dir", data, "-o", "json"))
    found = lines(json.dumps(said))
    assert said["ok"] and said["repeats"]["passed"] == 3 and len(said["repeats"]["seconds"]) == 3
    assert set(CHECKS) < set(found)
    assert {check["status"] for name, check in found.items() if name != "temporal's database"} == {"pass"}
    assert "SQLite" in found["temporal's database"]["detail"]
    assert "COMPLETED" in found["temporal's UI"]["detail"]
    text = await pavo("validate", "--data-dir", data)
    assert "The installation works" in text and "continue-as-new" in text


@pytest.mark.fault
async def test_nothing_is_lost_across_a_restart_of_the_servers(own: EmbeddedStack) -> None:
    before = {name: own.supervisor.pid(name) for name in STORES}
    said = await pavo("validate", "--across-restart", "--data-dir", str(own.layout.root), "-o", "json")
    found = lines(said)
    assert json.loads(said)["ok"]
    for name in ("restart", "run in flight", "earlier histories", "new work after it"):
        assert found[name]["status"] == "pass", found[name]
    assert all(own.supervisor.pid(name) != pid for name, pid in before.items())
    assert "the same as before" in found["earlier histories"]["detail"]


@pytest.mark.fault
async def test_temporal_that_dies_meanwhile_is_no_success(own: EmbeddedStack) -> None:
    """A restart after which everything is gone: another, empty Temporal answers."""
    database = own.layout.root / "temporal" / "temporal.db"
    script = f"rm -f {database}*; kill -9 {own.supervisor.pid('temporal')}"
    said = await pavo(
        *("validate", "--across-restart", "--restart-command", script),
        *("--data-dir", str(own.layout.root), "-o", "json"),
        expect=1,
    )
    found = lines(said)
    assert found["run in flight"]["status"] == "fail" and found["earlier histories"]["status"] == "fail"
    assert "restore the backup" in found["earlier histories"]["remedy"]
    assert found["new work after it"]["status"] == "pass"


async def test_what_does_not_work_is_told_with_its_remedy(own: EmbeddedStack) -> None:
    other = {"TEMPORAL_ADDRESS": own.environment["TEMPORAL_ADDRESS"]}
    closed = f"postgresql://a:b@127.0.0.1:{free_port()}/x"
    found = lines(await pavo("validate", "-o", "json", expect=1, DATABASE_URL=closed, **other))
    assert found["postgres"]["status"] == found["database operation"]["status"] == "fail"
    assert found["activity"]["status"] == "pass"
    wrong = {"DATABASE_URL": own.environment["DATABASE_URL"], "TEMPORAL_NAMESPACE": "nowhere", **other}
    said = await pavo("validate", expect=1, **wrong)
    assert "Something does not work" in said and "namespace create" in said
    assert "pavo up" in await pavo("validate", "--data-dir", "/nonexistent", expect=2)
    assert "Pass 1 or more" in await pavo("validate", "--repeat", "0", expect=2)


async def test_the_environment_names_the_services_too(own: EmbeddedStack) -> None:
    upgrade(own.environment["DATABASE_URL"])
    found = lines(await pavo("validate", "-o", "json", **own.environment))
    assert found["activity"]["status"] == "pass"
    assert found["temporal's UI"]["status"] == "skip"


@pytest.mark.fault
async def test_a_server_that_hangs_is_said_within_a_minute(own: EmbeddedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 600.0)  # else its supervisor, in this process, starts it again
    running = asyncio.create_task(
        pavo("validate", "--repeat", "10000", "--data-dir", str(own.layout.root), "-o", "json", expect=1)
    )

    async def begun() -> bool:
        client = await Client.connect(own.environment["TEMPORAL_ADDRESS"])
        query = "WorkflowType = 'PavoValidation' AND StartTime > '" + since.isoformat() + "'"
        return (await client.count_workflows(query)).count >= 4

    since = datetime.now(UTC)
    await until(begun, seconds=60)
    own.kill("temporal", signal.SIGSTOP)
    try:
        said = json.loads(await asyncio.wait_for(running, 90))
    finally:
        own.kill("temporal", signal.SIGCONT)
    assert not said["ok"] and 1 <= said["repeats"]["passed"] < 10000
    assert [check["name"] for check in said["checks"] if check["status"] == "fail" and not check["remedy"]] == []
    assert "fail" in {check["status"] for check in said["checks"]}
