"""Record the histories of every shape: `python -m tests.histories.record` with PAVO_TEST_STORES set.

Run it once for every released shape of the workflow and commit the files; never record over a released file.
"""

import asyncio
import gzip
import os
import sys
import tempfile
import uuid
from pathlib import Path
from unittest.mock import patch

import httpx2

from pavo import config
from pavo.kit.migrate import upgrade
from pavo.temporal.client import connect
from tests.driving import Tasks
from tests.histories.shapes import SHAPES
from tests.parts import Parts, Stores, drop_database, free_port, new_database

FOLDER = Path(__file__).parent


async def record(stores: Stores, label: str) -> None:
    """Make one task of each shape and keep the history of each of its runs."""
    url = new_database(stores)
    upgrade(url)
    environment = {
        "DATABASE_URL": url,
        "REDIS_URL": stores.redis_url,
        "TEMPORAL_ADDRESS": stores.temporal_address,
        "TEMPORAL_TASK_QUEUE": f"record-{uuid.uuid4().hex[:8]}",
        "PAVO_PORT": str(free_port()),
        "PAVO_BATCH_STEPS": "1",
    }
    with patch.dict(os.environ, environment):
        temporal = await connect(config.load().temporal)
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(environment, Path(folder))
        try:
            await parts.start("worker")
            await parts.start("api")
            address = f"http://127.0.0.1:{environment['PAVO_PORT']}"
            headers = {"X-User-Email": "record@example.com"}
            async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
                tasks = Tasks(client)
                for name, shape in SHAPES.items():
                    workflow_id = (await tasks.get(await shape(tasks)))["workflow_id"]
                    runs = temporal.list_workflows(f"WorkflowId = '{workflow_id}'").map_histories()
                    found = sorted([run async for run in runs], key=lambda run: run.events[0].event_time.seconds)
                    for number, run in enumerate(found, 1):
                        file = FOLDER / f"{label}-{name}-{number}.json.gz"
                        file.write_bytes(gzip.compress(run.to_json().encode(), 9, mtime=0))
                        print(file.name, len(run.events), "events")
        finally:
            parts.close()
            drop_database(stores, url)


if __name__ == "__main__":
    asyncio.run(record(Stores(*os.environ["PAVO_TEST_STORES"].split()), sys.argv[1] if sys.argv[1:] else "v1"))
