"""What the servers hold of a validation afterwards: its histories, the rows in PostgreSQL, what the UI shows."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx2
import psycopg
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, RPCTimeoutOrCancelledError
from temporalio.service import RPCError

from pavo.deploy.model.findings import Finding

HISTORY = "histories"
STORED = "temporal's database"
UI = "temporal's UI"
SECONDS = 5
RPC_TIMEOUT = timedelta(seconds=SECONDS)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of a workflow, as its history tells it."""

    run_id: str
    events: tuple[tuple[int, str], ...]
    """Number and type of each event."""


async def runs_of(client: Client, workflow_id: str, first_run_id: str) -> list[RecordedRun]:
    """The chain of runs, first to last.

    Raises:
        RPCError: a history is not there.
    """
    found: list[RecordedRun] = []
    run_id = first_run_id
    while run_id:
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history(rpc_timeout=RPC_TIMEOUT)
        events = tuple((event.event_id, EventType.Name(event.event_type)) for event in history.events)
        found.append(RecordedRun(run_id, events))
        run_id = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return found


async def read_histories(client: Client, workflow_id: str, first_run_id: str) -> tuple[Finding, list[RecordedRun]]:
    """Read the histories back through Temporal."""
    try:
        runs = await runs_of(client, workflow_id, first_run_id)
    except (RPCError, RPCTimeoutOrCancelledError) as error:
        remedy = "The workflow ran, but its history is gone: look at Temporal's store and its log."
        return Finding(HISTORY, "fail", str(error), remedy), []
    counts = " + ".join(str(len(run.events)) for run in runs)
    return Finding(HISTORY, "pass", f"{len(runs)} runs of {workflow_id} with {counts} events"), runs


async def count_stored(
    client: Client, persistence: str, url: str | None, workflow_id: str, runs: list[RecordedRun]
) -> Finding:
    """Count the rows that Temporal itself wrote to PostgreSQL."""
    if "sqlite" in persistence:
        return Finding(STORED, "skip", "Temporal keeps its data in SQLite here, not in PostgreSQL.")
    if url is None:
        kind = persistence or "an unknown store"
        remedy = "Pass --temporal-database-url, or set PAVO_TEMPORAL_DATABASE_URL."
        return Finding(STORED, "skip", f"Temporal keeps its data in {kind}; it was not looked at.", remedy)
    described = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
    )
    namespace = uuid.UUID(described.namespace_info.id).bytes
    try:
        executions, nodes, size = await _count(url, namespace, workflow_id, runs)
    except psycopg.Error as error:
        remedy = "Correct the URL of Temporal's own database: host, port, user, password, database."
        return Finding(STORED, "fail", " ".join(str(error).split()), remedy)
    detail = f"executions {executions}, history_node {nodes} rows with {size:,} bytes"
    if executions != len(runs) or nodes < len(runs):
        remedy = f"It should hold {len(runs)} executions: is this the database of the Temporal that was asked?"
        return Finding(STORED, "fail", f"PostgreSQL holds {detail}.", remedy)
    return Finding(STORED, "pass", f"PostgreSQL holds {detail}")


async def _count(url: str, namespace: bytes, workflow_id: str, runs: list[RecordedRun]) -> tuple[int, int, int]:
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=SECONDS) as connection:
        query = "SELECT count(*) FROM executions WHERE namespace_id = %s AND workflow_id = %s"
        executions = await (await connection.execute(query, (namespace, workflow_id))).fetchone()
        trees = [uuid.UUID(run.run_id).bytes for run in runs]
        query = "SELECT count(*), coalesce(sum(length(data)), 0) FROM history_node WHERE tree_id = ANY(%s)"
        nodes = await (await connection.execute(query, (trees,))).fetchone()
    assert executions is not None and nodes is not None
    return int(executions[0]), int(nodes[0]), int(nodes[1])


async def ask_ui(ui: str | None, namespace: str, workflow_id: str, runs: list[RecordedRun]) -> Finding:
    """Ask Temporal's UI for the last run, by the HTTP API that its pages use."""
    if not ui:
        return Finding(UI, "skip", "There is no UI here.", "Set PAVO_TEMPORAL_UI_URL where there is one.")
    path = f"{ui.rstrip('/')}/api/v1/namespaces/{quote(namespace)}/workflows/{quote(workflow_id)}"
    last = runs[-1]
    try:
        async with httpx2.AsyncClient(timeout=SECONDS) as http:
            described = await _get(http, path, last.run_id)
            history = await _get(http, f"{path}/history", last.run_id)
        status = str(described["workflowExecutionInfo"]["status"]).removeprefix("WORKFLOW_EXECUTION_STATUS_")
        events = [(int(event["eventId"]), str(event["eventType"])) for event in history["history"]["events"]]
    except (httpx2.HTTPError, KeyError, ValueError) as error:
        remedy = f"Is Temporal's UI at {ui}, and does it show this Temporal? See PAVO_TEMPORAL_UI_URL and its log."
        return Finding(UI, "fail", f"{type(error).__name__}: {error}", remedy)
    expected = [(number, f"{name}") for number, name in last.events]
    if status != "COMPLETED" or events != expected:
        remedy = "Its database is behind, or it shows another Temporal."
        return Finding(UI, "fail", f"It shows {status} with {len(events)} of {len(expected)} events.", remedy)
    return Finding(UI, "pass", f"shows {status} with all {len(events)} events at {ui}")


async def _get(http: httpx2.AsyncClient, url: str, run_id: str) -> Any:
    answer = await http.get(url, params={"execution.runId": run_id})
    answer.raise_for_status()
    return answer.json()
