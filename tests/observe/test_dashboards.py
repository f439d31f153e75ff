"""Dashboards and alert rules ask for what is really exported; a real Prometheus loads and answers them."""

import asyncio
import json
import re
import runpy
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.driving import SLOW, until
from tests.observe.conftest import Observed
from tests.observe.reading import names, read
from tests.parts import free_port

FILES = Path(__file__).parents[2] / "src" / "pavo" / "deploy" / "dashboards"
NAME = re.compile(r"\b(?:pavo|temporal|process)_[a-z_]+\b")
PROMETHEUS = shutil.which("prometheus") and shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    not PROMETHEUS, reason="prometheus and promtool are not on the PATH (Debian: apt-get install prometheus)"
)


def queries() -> list[tuple[str, str]]:
    """(title, query) of every graph."""
    panels = json.loads((FILES / "pavo.json").read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())]


def test_the_dashboard_is_the_tools(root: Path) -> None:
    made = runpy.run_path(str(root / "tools" / "dashboard.py"))["text"]()
    assert (FILES / "pavo.json").read_text() == made, "run tools/dashboard.py"


def test_panels_do_not_overlap() -> None:
    panels = json.loads((FILES / "pavo.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels) > 20


async def test_every_metric_that_is_asked_for_is_exported(observed: Observed) -> None:
    """By a stack that has done nothing but run a task that was watched."""
    task_id = await observed.tasks.started({"steps": 3, "step_seconds": 0}, auto_accept=True)
    assert [event async for event in observed.tasks.stream(task_id)]
    for file in ("pavo.json", "alerts.yaml"):
        asked = set(NAME.findall((FILES / file).read_text()))
        assert len(asked) > 10

        async def exported(asked: set[str] = asked) -> bool:  # the run ends a moment after its timeline
            return asked <= names(read(observed.api), read(observed.worker), read(observed.gateway))

        await until(exported, what=f"every metric of {file}")


ALERTS: dict[str, dict[str, str]] = {
    "PavoApiAbsent": {'pavo_build_info{part="worker"}': "1x30"},
    "PavoDependencyAway": {'pavo_dependency_up{dependency="redis"}': "1x5 0x30"},
    "PavoNoWorker": {'pavo_task_queue_pollers{task_queue="q",type="activity"}': "2x5 0x30"},
    "PavoBacklogOld": {'pavo_task_queue_backlog_age_seconds{task_queue="q",type="activity"}': "0+10x30"},
    "PavoNoFreeSlots": {'temporal_worker_task_slots_available{worker_type="ActivityWorker",instance="w"}': "0x30"},
    "PavoHttpErrors": {
        'pavo_http_requests_total{status="200"}': "0+90x30",
        'pavo_http_requests_total{status="503"}': "0+10x30",
    },
    "PavoHttpSlow": {
        'pavo_http_request_seconds_bucket{le="1"}': "0+90x30",
        'pavo_http_request_seconds_bucket{le="2.5"}': "0+100x30",
        'pavo_http_request_seconds_bucket{le="+Inf"}': "0+100x30",
    },
    "PavoStreamsLate": {
        'pavo_stream_lag_seconds_bucket{le="1"}': "0+50x30",
        'pavo_stream_lag_seconds_bucket{le="5"}': "0+100x30",
        'pavo_stream_lag_seconds_bucket{le="+Inf"}': "0+100x30",
    },
    "PavoPublishingFails": {'pavo_publish_failures_total{instance="w"}': "0+1x30"},
    "PavoProcessesDie": {'pavo_recoveries_total{died="worker"}': "0+1x30"},
    "PavoLeasesLost": {"pavo_leases_lost_total": "0+1x30"},
    "PavoStepsFail": {"pavo_step_errors_total": "0+30x30", "pavo_steps_recorded_total": "0+70x30"},
    "PavoCommitsSlow": {
        'pavo_step_commit_seconds_bucket{le="0.25"}': "0+50x30",
        'pavo_step_commit_seconds_bucket{le="0.5"}': "0+100x30",
        'pavo_step_commit_seconds_bucket{le="+Inf"}': "0+100x30",
    },
    "PavoJobQueueStands": {"pavo_job_queues_ready": "0x5 1x30"},
    "PavoAgentsLost": {"pavo_agents_lost_total": "0+1x30"},
    "PavoGatewayWithoutAgents": {'pavo_runs{kind="job",stage="QUEUED"}': "3x30"},
    "PavoJobStuck": {"pavo_jobs_silent_seconds": "1200+60x30"},
    "PavoJobLogGaps": {"pavo_gateway_log_gaps_total": "0x10 5x30"},
    "PavoResultsUnacknowledged": {'pavo_gateway_results_total{outcome="again"}': "0+1x30"},
}
"""Series that make each alert fire, one value a minute, in promtool's notation."""

WELL: dict[str, str] = {
    'pavo_build_info{part="api"}': "1x30",
    'pavo_dependency_up{dependency="postgres"}': "1x30",
    'pavo_task_queue_pollers{task_queue="q",type="activity"}': "1x30",
    'pavo_task_queue_backlog_age_seconds{task_queue="q",type="activity"}': "5x30",
    'temporal_worker_task_slots_available{worker_type="ActivityWorker",instance="w"}': "3x30",
    'pavo_http_requests_total{status="200"}': "0+99x30",
    'pavo_http_requests_total{status="503"}': "0+1x30",
    'pavo_http_request_seconds_bucket{le="1"}': "0+100x30",
    'pavo_http_request_seconds_bucket{le="+Inf"}': "0+100x30",
    "pavo_step_errors_total": "0+1x30",
    "pavo_steps_recorded_total": "0+99x30",
    'pavo_runs{kind="job",stage="QUEUED"}': "3x30",
    "pavo_gateway_sessions": "2x30",
    "pavo_job_queues_ready": "0x10 1x2 0x20",
    "pavo_jobs_silent_seconds": "0+20x30",
    "pavo_agents_lost_total": "0x10 1x30",
    "pavo_gateway_log_gaps_total": "0x30",
    'pavo_gateway_results_total{outcome="kept"}': "0+9x30",
}


def case(series: dict[str, str], expr: str, expected: int) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expr, "eval_time": "25m", "exp_samples": [{"labels": "{}", "value": expected}]}],
    }


@needs_prometheus
def test_alert_rules_are_valid_and_each_fires_when_it_should(tmp_path: Path) -> None:
    checked = subprocess.run(["promtool", "check", "rules", FILES / "alerts.yaml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert set(re.findall(r"- alert: (\w+)", (FILES / "alerts.yaml").read_text())) == set(ALERTS), "a case for each"
    firing = 'count(ALERTS{{alertname="{}",alertstate="firing"}})'
    cases = [case(series, firing.format(alert), 1) for alert, series in ALERTS.items()]
    cases.append(case(WELL, "count(ALERTS) or vector(0)", 0))
    file = {"rule_files": [str(FILES / "alerts.yaml")], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "cases.yaml").write_text(json.dumps(file))
    tested = subprocess.run(["promtool", "test", "rules", tmp_path / "cases.yaml"], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


class Prometheus:
    """A running one."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **parameters: str) -> Any:
        found = httpx2.get(f"{self._url}/{path}", params=parameters, timeout=20).raise_for_status().json()
        assert found["status"] == "success", found
        return found["data"]


@pytest_asyncio.fixture
async def prometheus(observed: Observed, tmp_path: Path) -> AsyncIterator[Prometheus]:
    """Prometheus, scraping this API, this worker and this gateway every second, with the alert rules."""
    targets = [url.removeprefix("http://") for url in (observed.api, observed.worker, observed.gateway)]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FILES / "alerts.yaml")],
        "scrape_configs": [{"job_name": "pavo", "static_configs": [{"targets": targets}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # which is YAML as well
    port = free_port()
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=log,
        stderr=log,
    )
    found = Prometheus(port)

    async def all_up() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            targets = await asyncio.to_thread(found.ask, "targets")
        except httpx2.HTTPError:  # it starts: nobody listens yet, or 503
            return False
        states = [target["health"] for target in targets["activeTargets"]]
        return states == ["up"] * 3

    try:
        await until(all_up, seconds=60, what="all targets up")
        yield found
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@needs_prometheus
async def test_prometheus_answers_every_graph(observed: Observed, prometheus: Prometheus) -> None:
    task_id = await observed.tasks.executing(SLOW)
    failing = await observed.tasks.started({"steps": 3, "step_seconds": 0, "fail_at": 2}, auto_accept=True)
    async with observed.tasks.client.stream("GET", f"/api/tasks/{task_id}/stream") as stream:
        lines = stream.aiter_lines()
        await anext(lines)
        for title, query in queries():
            # Grafana's own: four scrapes at least.
            asked = query.replace("$__rate_interval", "10s")

            async def answered(asked: str = asked) -> bool:
                for _ in range(20):
                    await anext(lines)
                return bool((await asyncio.to_thread(prometheus.ask, "query", query=asked))["result"])

            await until(answered, seconds=30, what=f"an answer for {title!r}: {asked}")
    for task in (task_id, failing):
        await observed.tasks.post(f"{task}/stop")


@needs_prometheus
async def test_prometheus_evaluates_every_alert(prometheus: Prometheus) -> None:
    async def evaluated() -> bool:
        (group,) = (await asyncio.to_thread(prometheus.ask, "rules"))["groups"]
        assert all(rule["health"] in ("ok", "unknown") for rule in group["rules"]), group
        return len(group["rules"]) == len(ALERTS) and all(rule["health"] == "ok" for rule in group["rules"])

    await until(evaluated, what="all rules evaluated")

    async def calm() -> bool:
        alerts = (await asyncio.to_thread(prometheus.ask, "alerts"))["alerts"]
        active = {alert["labels"]["alertname"] for alert in alerts}
        return not active & {"PavoApiAbsent", "PavoNoWorker", "PavoDependencyAway"}

    await until(calm, what="no alert about what is there")
