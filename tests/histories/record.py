"""Record the histories of every shape: `python -m tests.histories.record v3 tasks`, or `v2 jobs`, on stores of its own.

Run it once for every released shape of the workflow and commit the files; never record over a released file. Tasks:
`v1` is of a time when an attempt was a chain of batches, `v2` has one attempt as one activity. Jobs and flows: `v1`.
"""

import asyncio
import gzip
import os
import shutil
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import httpx2
from temporalio.client import Client

from pavo import config
from pavo.config import Settings
from pavo.deploy.local.stack import STORES, EmbeddedStack, remove_data
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.temporal.client import connect
from tests.driving import Tasks
from tests.faults.rogues import install
from tests.histories.flow_shapes import FLOW_SHAPES, recorded_flows
from tests.histories.job_shapes import JOB_SHAPES, recorded_jobs
from tests.histories.shapes import SHAPES, Recorded
from tests.parts import Parts, free_port

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Recording:
    """A stack with a worker, whose workflows' histories are kept under a label."""

    parts: Parts
    temporal: Client
    settings: Settings
    folder: Path
    label: str

    async def keep(self, name: str, workflow_id: str, *, under: str = "") -> None:
        """Keep the history of each run of a workflow that has the shape of this name."""
        await keep(self.temporal, workflow_id, FOLDER / under / f"{self.label}-{name}")


async def record_tasks(stack: Recording) -> None:
    """One task of each shape, by its API."""
    await stack.parts.start("api")
    headers = {"X-User-Email": "record@example.com"}
    address = f"http://127.0.0.1:{stack.settings.http.port}"
    async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
        tasks = Tasks(client)
        recorded = Recorded(tasks, stack.temporal, stack.settings.database.url, stack.folder)
        for name, shape in SHAPES.items():
            await stack.keep(name, (await tasks.get(await shape(recorded)))["workflow_id"])


async def record_jobs(stack: Recording) -> None:
    """One workflow of each shape of the jobs', each with an agent of its own."""
    database = Database(stack.settings.database.url)
    try:
        for name, shape in JOB_SHAPES.items():
            async with recorded_jobs(stack.settings, stack.temporal, database) as recorded:
                await stack.keep(name, await shape(recorded), under="jobs")
    finally:
        await database.close()


async def record_flows(stack: Recording) -> None:
    """One run of each shape."""
    database = Database(stack.settings.database.url)
    try:
        for name, shape in FLOW_SHAPES.items():
            async with recorded_flows(stack.settings, stack.temporal, database) as recorded:
                await stack.keep(name, await shape(recorded), under="flows")
    finally:
        await database.close()


KINDS = {"tasks": record_tasks, "jobs": record_jobs, "flows": record_flows}


async def record(folder: Path, stores: dict[str, str], label: str, kind: str) -> None:
    """Make one workflow of each shape and keep the history of each of its runs."""
    upgrade(stores["DATABASE_URL"])
    environment = {
        **{name: stores[name] for name in ("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS")},
        "TEMPORAL_TASK_QUEUE": f"record-{uuid.uuid4().hex[:8]}",
        "PAVO_PORT": str(free_port()),
        "PAVO_JOB_HEARTBEATS": "start_execution=2",
        "PAVO_JOB_REVIEW_SECONDS": "0",
        "PYTHONPATH": str(folder / "plugins"),
    }
    install(folder)
    with patch.dict(os.environ, environment):
        settings = config.load()
    parts = Parts(environment, folder)
    try:
        await parts.start("worker")
        await KINDS[kind](Recording(parts, await connect(settings.temporal), settings, folder, label))
    finally:
        parts.close()


async def keep(temporal: Client, workflow_id: str, path: Path) -> None:
    """Write a file for each run of a workflow, the first as number 1."""
    runs = temporal.list_workflows(f"WorkflowId = '{workflow_id}'").map_histories()
    found = sorted([run async for run in runs], key=lambda run: run.events[0].event_time.ToNanoseconds())
    for number, run in enumerate(found, 1):
        file = path.with_name(f"{path.name}-{number}.json.gz")
        if file.exists():
            raise SystemExit(f"{file.name} is there already: take another label.")
        file.write_bytes(gzip.compress(run.to_json().encode(), 9, mtime=0))
        print(file.name, len(run.events), "events", flush=True)


async def main(label: str, kind: str) -> None:
    """Record on stores that are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pavo-record-"))
    folder.chmod(0o711)  # PostgreSQL's own user walks through it
    try:
        async with EmbeddedStack(folder / "data", ephemeral=True, parts=STORES) as stack:
            await record(folder, stack.environment, label, kind)
    finally:
        remove_data(folder / "data")
        shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
