"""Record the histories of every shape: `python -m tests.histories.record v3`, on stores of its own.

Run it once for every released shape of the workflow and commit the files; never record over a released file. `v1` is
of a time when an attempt was a chain of batches, `v2` has one attempt as one activity.
"""

import asyncio
import gzip
import os
import shutil
import sys
import tempfile
import uuid
from pathlib import Path
from unittest.mock import patch

import httpx2
from temporalio.client import Client

from pavo import config
from pavo.deploy.local.stack import STORES, EmbeddedStack, remove_data
from pavo.kit.migrate import upgrade
from pavo.temporal.client import connect
from tests.driving import Tasks
from tests.faults.rogues import install
from tests.histories.shapes import SHAPES, Recorded
from tests.parts import Parts, free_port

FOLDER = Path(__file__).parent


async def record(folder: Path, stores: dict[str, str], label: str) -> None:
    """Make one task of each shape and keep the history of each of its runs."""
    upgrade(stores["DATABASE_URL"])
    environment = {
        **{name: stores[name] for name in ("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS")},
        "TEMPORAL_TASK_QUEUE": f"record-{uuid.uuid4().hex[:8]}",
        "PAVO_PORT": str(free_port()),
        "PYTHONPATH": str(folder / "plugins"),
    }
    install(folder)
    with patch.dict(os.environ, environment):
        temporal = await connect(config.load().temporal)
    parts = Parts(environment, folder)
    try:
        await parts.start("worker")
        await parts.start("api")
        address = f"http://127.0.0.1:{environment['PAVO_PORT']}"
        headers = {"X-User-Email": "record@example.com"}
        async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
            tasks = Tasks(client)
            stack = Recorded(tasks, temporal, environment["DATABASE_URL"], folder)
            for name, shape in SHAPES.items():
                workflow_id = (await tasks.get(await shape(stack)))["workflow_id"]
                await keep(temporal, workflow_id, f"{label}-{name}")
    finally:
        parts.close()


async def keep(temporal: Client, workflow_id: str, name: str) -> None:
    """Write a file for each run of a workflow, the first as number 1."""
    runs = temporal.list_workflows(f"WorkflowId = '{workflow_id}'").map_histories()
    found = sorted([run async for run in runs], key=lambda run: run.events[0].event_time.ToNanoseconds())
    for number, run in enumerate(found, 1):
        file = FOLDER / f"{name}-{number}.json.gz"
        if file.exists():
            raise SystemExit(f"{file.name} is there already: take another label.")
        file.write_bytes(gzip.compress(run.to_json().encode(), 9, mtime=0))
        print(file.name, len(run.events), "events", flush=True)


async def main(label: str) -> None:
    """Record on stores that are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pavo-record-"))
    folder.chmod(0o711)  # PostgreSQL's own user walks through it
    try:
        async with EmbeddedStack(folder / "data", ephemeral=True, parts=STORES) as stack:
            await record(folder, stack.environment, label)
    finally:
        remove_data(folder / "data")
        shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
