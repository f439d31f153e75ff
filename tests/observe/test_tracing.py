"""Traces of real tasks, as a collector gets them; and log lines that name them."""

import gzip
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import Replayer

from pavo.tasks.workflow import AgentTask
from tests.driving import until
from tests.observe.collector import Seen
from tests.observe.conftest import Observed
from tests.observe.reading import read
from tests.parts import Part

FILES = sorted((Path(__file__).parent.parent / "histories").glob("*.json.gz"))


def context() -> tuple[str, str, dict[str, str]]:
    """A trace that a caller has begun, the caller's span, and the header that says so (W3C Trace Context)."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-01"}


async def complete(observed: Observed, trace_id: str, *wanted: str) -> list[Seen]:
    """The spans of the trace, once these are among them."""

    async def there() -> bool:
        return set(wanted) <= {span.name for span in observed.collector.trace(trace_id)}

    try:
        await until(there)
    except AssertionError:
        raise AssertionError(f"{wanted} in {[span.name for span in observed.collector.trace(trace_id)]}") from None
    return observed.collector.trace(trace_id)


async def test_one_trace_from_the_request_to_each_step(observed: Observed) -> None:
    task_id = await observed.tasks.create({"steps": 4, "step_seconds": 0}, auto_accept=True)
    trace_id, caller, header = context()
    started = await observed.tasks.client.post(f"/api/tasks/{task_id}/start", headers=header)
    assert started.status_code == 200
    await observed.tasks.wait(task_id, "DONE")
    request = "POST /api/tasks/{task_id}/start"
    spans = await complete(observed, trace_id, request, "RunActivity:carry_out", "CompleteWorkflow:AgentTask")
    one = {span.name: span for span in spans if span.name != "step"}
    steps = [span for span in spans if span.name == "step"]
    above = {span.name: span.parent_id for span in one.values()}
    assert above[request] == caller
    assert above["StartWorkflow:AgentTask"] == one[request].span_id
    assert above["RunWorkflow:AgentTask"] == one["StartWorkflow:AgentTask"].span_id
    assert above["RunActivity:carry_out"] == one["StartActivity:carry_out"].span_id
    assert [span.attributes["pavo.step"] for span in steps] == [1, 2, 3, 4]
    assert {span.parent_id for span in steps} == {one["RunActivity:carry_out"].span_id}
    assert above["plan"] == above["report"] == one["RunActivity:carry_out"].span_id
    assert all(span.attributes["pavo.task_id"] == task_id and span.attributes["pavo.recorded"] for span in steps)
    assert {span.service for span in spans} == {"pavo-api", "pavo-worker"}
    seen = one[request].attributes
    assert seen["http.route"] == "/api/tasks/{task_id}/start" and seen["http.response.status_code"] == 200
    assert seen["pavo.task_id"] == task_id and str(seen["pavo.workflow_id"]).endswith("|a:intern")
    assert len(one) == len(spans) - len(steps), "one span each: FastAPI must not make its own beside ours"


async def test_what_a_command_does_is_in_the_tasks_trace_and_linked_to_the_request(observed: Observed) -> None:
    task_id = await observed.tasks.create({"steps": 2, "step_seconds": 0})
    started, _, header = context()
    await observed.tasks.client.post(f"/api/tasks/{task_id}/start", headers=header)
    task = await observed.tasks.wait(task_id, "WAIT_RFC")
    accepted, _, header = context()
    body = {"hash": task["plan"]["hash"]}
    answer = await observed.tasks.client.post(f"/api/tasks/{task_id}/plan/accept", json=body, headers=header)
    assert answer.status_code == 200
    await complete(observed, accepted, "POST /api/tasks/{task_id}/plan/accept", "StartWorkflowUpdate:accept_plan")
    spans = await complete(observed, started, "HandleUpdate:accept_plan", "RunActivity:execute_batch")
    assert [span.links for span in spans if span.name == "HandleUpdate:accept_plan"] == [(accepted,)]
    batch = next(span for span in spans if span.name == "RunActivity:execute_batch")
    assert [span.parent_id for span in spans if span.name == "step"] == [batch.span_id] * 2


async def test_a_step_that_fails_says_so_in_trace_and_log(observed: Observed) -> None:
    task_id = await observed.tasks.create({"steps": 3, "step_seconds": 0, "fail_at": 2}, auto_accept=True)
    before = read(observed.worker)["pavo_step_errors_total"]
    trace_id, _, header = context()
    await observed.tasks.client.post(f"/api/tasks/{task_id}/start", headers=header)
    spans = await complete(observed, trace_id, "RunActivity:execute_batch")
    await observed.tasks.post(f"{task_id}/stop")
    assert [span.failed for span in spans if span.name == "step"][:2] == [False, True]
    assert read(observed.worker)["pavo_step_errors_total"] > before
    line = next(line for line in lines(observed.worker_part) if line.get("task_id") == task_id)
    assert "failed in execute()" in line["message"] and "RuntimeError: Checkpoint 2 fails" in line["message"]
    assert line["trace_id"] == trace_id and line["workflow_id"].startswith("u:") and line["run_id"]


async def test_probes_and_refusals(observed: Observed) -> None:
    probe, _, header = context()
    for path in ("/healthz", "/readyz", "/metrics"):
        await observed.tasks.client.get(path, headers=header)
    refused, _, other = context()
    answer = await observed.tasks.client.get("/api/tasks", headers={**other, "Origin": "https://evil.example"})
    assert answer.status_code == 403
    spans = await complete(observed, refused, "GET (none)")
    assert [span.attributes["http.response.status_code"] for span in spans] == [403]
    assert observed.collector.trace(probe) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".json.gz"))
async def test_tracing_can_be_switched_on_under_open_workflows(file: Path) -> None:
    """Histories that were recorded without it replay with it, in the sandbox."""
    history = WorkflowHistory.from_json(file.name, gzip.decompress(file.read_bytes()).decode())
    interceptor = TracingInterceptor(TracerProvider().get_tracer("test"), always_create_workflow_spans=True)
    await Replayer(workflows=[AgentTask], interceptors=[interceptor]).replay_workflow(history)


def lines(part: Part) -> list[dict[str, Any]]:
    """What the part has logged: every line is JSON."""
    return [json.loads(line) for line in part.log.read_text().splitlines()]


async def test_a_workflows_log_lines_name_task_workflow_and_trace(observed: Observed, temporal: Client) -> None:
    task_id = await observed.tasks.create()
    trace_id, _, header = context()
    started = await observed.tasks.client.post(f"/api/tasks/{task_id}/start", headers=header)
    workflow_id = started.json()["workflow_id"]
    task = await observed.tasks.wait(task_id, "WAIT_RFC")
    await observed.tasks.post(f"{task_id}/documents/{task['plan']['document_id']}/feedback", 201, body="Shorter.")
    # Refused, for there is feedback; a signal has no caller to tell, so the workflow logs it.
    await temporal.get_workflow_handle(workflow_id).signal("signal_accept_rfc")

    async def found() -> dict[str, Any] | None:
        return next((line for line in lines(observed.worker_part) if "Signal refused" in line["message"]), None)

    line = await until(found, what="the workflow's log line")
    assert (line["task_id"], line["workflow_id"], line["trace_id"]) == (task_id, workflow_id, trace_id)
    assert line["level"] == "WARNING" and line["run_id"] and line["at"].endswith("Z")
    lines(observed.api_part)  # each of them is JSON
