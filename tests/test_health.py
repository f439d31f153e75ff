"""What an API says of itself while something is wrong."""

import asyncio
import logging
import uuid

import httpx2
import pytest
from temporalio.client import Client

from pavo.errors import Unavailable
from pavo.health import FirstReconciliation
from pavo.temporal.failures import NoSuchRun, translated
from tests.driving import until
from tests.parts import Parts, Stores, free_port


class Failing:
    """Reconciles after these errors."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return 0


async def test_only_success_counts_as_reconciled(caplog: pytest.LogCaptureFixture) -> None:
    pauses: list[float] = []
    said: list[str] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        said.append(first.state)

    away = Unavailable("Temporal is away.", dependency="temporal", remedy="Start it.")
    failing = Failing(away, NoSuchRun("what is this"), *[ValueError("odd")] * 6)
    first = FirstReconciliation(failing, pause)
    assert first.state == "under way"
    await first.run()
    assert first.state == "ok" and failing.calls == 9
    assert said[0] == "not yet: Unavailable: Temporal is away. Start it." and "NoSuchRun: what is this" in said[1]
    assert pauses == sorted(pauses) and pauses[0] < 1 and max(pauses) == pauses[-1] == 5
    unforeseen = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(unforeseen) == 7 and all(record.exc_info for record in unforeseen)


async def test_an_unknown_namespace_is_no_unknown_run(stores: Stores) -> None:
    elsewhere = await Client.connect(stores.temporal_address, namespace="nowhere")
    with pytest.raises(Unavailable) as caught, translated():
        await elsewhere.get_workflow_handle("x").describe()
    assert "nowhere" in caught.value.detail and "TEMPORAL_NAMESPACE" in str(caught.value.remedy)
    here = await Client.connect(stores.temporal_address)
    with pytest.raises(NoSuchRun), translated():
        await here.get_workflow_handle(str(uuid.uuid4())).describe()


async def test_an_api_with_an_unknown_namespace_says_so(parts: Parts, environment: dict[str, str]) -> None:
    port = free_port()
    part = await parts.start("api", TEMPORAL_NAMESPACE="nowhere", PAVO_PORT=str(port))
    headers = {"X-User-Email": "ada@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as client:

        async def tried() -> bool:
            return (await client.get("/readyz")).json()["reconciled"] != "under way"

        await until(tried)
        ready = await client.get("/readyz")
        assert ready.status_code == 503 and ready.json()["ready"] is False and ready.json()["postgres"] == "ok"
        for member in ("temporal", "reconciled"):
            assert "nowhere" in ready.json()[member] and "TEMPORAL_NAMESPACE" in ready.json()[member]
        made = await client.post("/api/tasks", json={"title": "x"})
        started = await client.post(f"/api/tasks/{made.json()['id']}/start")
        assert started.status_code == 503 and "TEMPORAL_NAMESPACE" in started.json()["remedy"], started.text
    await asyncio.to_thread(part.end)
