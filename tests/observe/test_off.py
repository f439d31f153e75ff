"""What is switched off is not imported, opens no port and costs nothing that could be measured beside a step."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from pavo.config import Settings
from pavo.errors import NotInstalled
from pavo.observe import metrics, spans
from pavo.observe import noted_ids as scope
from pavo.observe.http import Observed
from pavo.observe.telemetry import open_telemetry

WATCHERS = {
    "opentelemetry.sdk.trace",
    "opentelemetry.exporter",
    "opentelemetry.proto",
    "temporalio.contrib.opentelemetry",
    "prometheus_client",
    "pavo.observe.tracing",
    "pavo.observe.exposition",
}
"""What watching needs; redis and fastapi import OpenTelemetry's bare packages by themselves where they can."""

PARTS = {
    "worker": """
        async with bootstrap.worker_parts(settings) as parts, listening_if_wanted(settings.metrics, parts.scrape):
            async with worker.build_worker(settings, parts):
                report()
    """,
    "api": """
        app = api.create_app(settings)
        async with app.router.lifespan_context(app):
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
                assert (await client.get("/healthz")).status_code == 200
            report()
    """,
}
SCRIPT = """
import asyncio, json, os, sys
import httpx2, psutil
from pavo import api, bootstrap, config, worker
from pavo.observe.listener import listening_if_wanted

def report():
    ports = [c.laddr.port for c in psutil.Process().net_connections() if c.status == "LISTEN"]
    print(json.dumps({"modules": sorted(sys.modules), "ports": ports}))

async def main():
    settings = config.load()
BODY
asyncio.run(main())
"""


def run(part: str, environment: dict[str, str], **more: str) -> tuple[set[str], list[int]]:
    """Which watchers this part has imported when it is ready, and the ports that it listens on."""
    body = "\n".join(line[4:] for line in PARTS[part].splitlines())
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("BODY", body)],
        env={**os.environ, **environment, **more},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return {name for name in found["modules"] if name in WATCHERS}, found["ports"]


def test_a_worker_loads_and_opens_nothing(environment: dict[str, str]) -> None:
    watchers, ports = run("worker", environment)
    assert not watchers and ports == []


def test_an_api_without_metrics_loads_and_opens_nothing(environment: dict[str, str]) -> None:
    watchers, ports = run("api", environment, PAVO_METRICS="false")
    assert not watchers and ports == []


def test_an_api_that_nobody_scrapes_has_loaded_nothing_either(environment: dict[str, str]) -> None:
    watchers, ports = run("api", environment)
    assert not watchers and len(ports) == 1, "only the SDK's own page is there, on loopback"


def test_switched_on_they_are_there(environment: dict[str, str]) -> None:
    """So that the tests above can fail."""
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PAVO_METRICS_ADDRESS": "127.0.0.1:0"}
    watchers, ports = run("worker", environment, **more)
    assert "opentelemetry.sdk.trace" in watchers and len(ports) == 2


def test_a_start_leaves_out_what_redis_would_load() -> None:
    code = """
import sys
from pavo.observe.lean_imports import lean_imports
with lean_imports():
    import pavo.worker
assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk.metrics")]
import opentelemetry.sdk.metrics
import temporalio.contrib.opentelemetry
with lean_imports():
    import opentelemetry.sdk.metrics
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_disabled_by_opentelemetrys_own_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")
    assert Settings().traces.target == "http://collector:4318/v1/traces"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other/v1/traces")
    assert Settings().traces.target == "http://other/v1/traces"
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert Settings().traces.target is None
    assert open_telemetry(Settings(), "worker").interceptors == ()


def test_traces_without_their_packages_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.delitem(sys.modules, "pavo.observe.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)  # what an import of a missing module meets
    with pytest.raises(NotInstalled) as missing:
        open_telemetry(Settings(), "worker")
    assert "pip install 'pavo-temporal[otel]'. Or unset" in (missing.value.remedy or "")


def micro(call: Callable[[], object], *, rounds: int = 20_000) -> float:
    """Microseconds of one call, the best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(rounds):
            call()
        best = min(best, time.perf_counter() - began)
    return best / rounds * 1e6


def a_step() -> None:
    """Everything that is counted for one step."""
    with spans.span("step", {"pavo.task_id": "x", "pavo.step": 1}) as seen:
        metrics.STEP_SECONDS.observe(time.perf_counter() - time.perf_counter())
        metrics.COMMIT_SECONDS.observe(time.perf_counter() - time.perf_counter())
        metrics.STEPS.add()
        metrics.EVENTS_PUBLISHED.add(by=2)
        seen.set("pavo.recorded", True)


@pytest.mark.serial
async def test_a_step_and_a_request_cost_microseconds() -> None:
    """A step costs a commit, about 1,000 microseconds; a request the API about 500."""
    assert micro(a_step) < 50

    async def app(scope_: object, receive: object, send: Callable[[dict[str, object]], object]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[misc]

    async def send(message: object) -> None:
        pass

    async def request(served: Callable[..., object]) -> float:
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(5_000):
                await served({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send)  # type: ignore[misc]
            best = min(best, time.perf_counter() - began)
        return best / 5_000 * 1e6

    assert await request(Observed(app)) - await request(app) < 100  # type: ignore[arg-type]
    scope.begin()
