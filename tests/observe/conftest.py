"""One API and one worker that show everything, on a database and a task queue of their own."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import pytest_asyncio

from pavo.kit.migrate import upgrade
from tests.driving import Tasks
from tests.observe.collector import Collector
from tests.parts import Part, Parts, Stores, drop_database, free_port, new_database


@dataclass(frozen=True)
class Observed:
    """Where it answers, and what it writes."""

    api: str
    worker: str
    """The URL of its metrics, without a path."""
    gateway: str
    """The same of the gateway's."""
    tasks: Tasks
    api_part: Part
    worker_part: Part
    parts: Parts
    queue: str
    collector: Collector


@pytest_asyncio.fixture(scope="package")
async def observed(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Observed]:
    """The stack."""
    url = new_database(stores)
    upgrade(url)
    queue, api_port = f"observe-{uuid.uuid4().hex[:8]}", free_port()
    worker_port, gateway_port = free_port(), free_port()
    environment = {
        "DATABASE_URL": url,
        "REDIS_URL": stores.redis_url,
        "TEMPORAL_ADDRESS": stores.temporal_address,
        "TEMPORAL_TASK_QUEUE": queue,
        "PAVO_PORT": str(api_port),
        "PAVO_LOG_FORMAT": "json",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with Collector() as collector:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        parts = Parts(environment, tmp_path_factory.mktemp("observe"))
        try:
            worker = await parts.start("worker", PAVO_METRICS_ADDRESS=f"127.0.0.1:{worker_port}")
            of_gateway = {"PAVO_GATEWAY_PORT": "0", "PAVO_METRICS_ADDRESS": f"127.0.0.1:{gateway_port}"}
            await parts.start("gateway", command=True, **of_gateway)
            api = await parts.start("api")
            address = f"http://127.0.0.1:{api_port}"
            async with httpx2.AsyncClient(base_url=address, timeout=30) as client:
                shown, gateway = (f"http://127.0.0.1:{port}" for port in (worker_port, gateway_port))
                yield Observed(address, shown, gateway, Tasks(client), api, worker, parts, queue, collector)
        finally:
            parts.close()
            drop_database(stores, url)
