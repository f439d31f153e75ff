"""Settings, services, versions, disk and clocks, as they are before a rollout."""

import shutil
import time
import uuid
from datetime import timedelta
from pathlib import Path

import psycopg
import temporalio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client

from pavo.accounts.origin import check_listener
from pavo.accounts.secrets.sealing import KeyRing
from pavo.config import Settings
from pavo.deploy.model.compatibility import VersionVerdict, assess
from pavo.deploy.model.findings import Finding, Status
from pavo.deploy.model.parts import connections
from pavo.errors import ConfigurationError
from pavo.kit.migrate import plain_url
from pavo.runs.probe_workflow import Probe
from pavo.temporal.client import codec_token, data_converter
from pavo.usage.prices import PriceTable

RPC_TIMEOUT = timedelta(seconds=5)
CONNECT_SECONDS = 5
LEAST_FREE_BYTES = 1_000_000_000
"""Below it PostgreSQL's next checkpoint may already fail."""
FEW_FREE_BYTES = 5_000_000_000
CLOCK_WARN_SECONDS = 1.0
"""Beyond it times on a timeline look out of order."""
CLOCK_FAIL_SECONDS = 30.0
"""Beyond it timers, tokens and certificates misbehave."""
SPARE_CONNECTIONS = 10
"""For people and for backups."""


def check_settings(settings: Settings) -> Finding:
    """What can be seen to be wrong without asking anybody."""
    try:
        check_listener(settings.http)
        data_converter(settings.temporal)
        codec_token(settings.temporal)
        KeyRing.of(settings.sealing)
        PriceTable.load(settings.usage.prices)
    except ConfigurationError as error:
        return Finding("settings", "fail", error.detail, error.remedy)
    worker = settings.execution
    version = f"{worker.deployment}:{worker.build_id}" if worker.build_id else "none"
    encrypted = "encrypted" if settings.temporal.codec_key else "in the clear"
    return Finding("settings", "pass", f"worker version {version}, payloads {encrypted}, auth {settings.http.auth}")


def check_versions(temporal: str, postgres: str) -> list[Finding]:
    """What the compatibility matrix says of what runs here."""
    status: dict[VersionVerdict, Status] = {
        VersionVerdict.GOOD: "pass",
        VersionVerdict.UNKNOWN: "warn",
        VersionVerdict.BAD: "fail",
    }
    found = assess(temporal=temporal or None, postgres=postgres or None, sdk=temporalio.__version__)
    return [Finding("versions", status[each.verdict], each.what, each.remedy or None) for each in found]


async def check_connections(settings: Settings, apis: int, workers: int) -> Finding:
    """Whether PostgreSQL lets in as many connections as the processes may open."""
    name = "connections"
    wanted = connections(settings.database.pool_size, apis=apis, workers=workers) + SPARE_CONNECTIONS
    url = plain_url(settings.database.url)
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
        row = await (await connection.execute("SELECT current_setting('max_connections')::int")).fetchone()
    allowed = int(row[0]) if row else 0
    detail = f"{apis} API, {workers} worker and 1 gateway processes may open {wanted} of {allowed}"
    if wanted > allowed:
        return Finding(name, "warn", detail, "Raise PostgreSQL's max_connections, or lower PAVO_DATABASE_POOL.")
    return Finding(name, "pass", detail)


async def check_disk(folder: Path, url: str) -> Finding:
    """Free space under the data directory, compared with what a backup of the databases would take."""
    name, usage = "disk", shutil.disk_usage(folder)
    detail = f"{usage.free / 1e9:.1f} GB of {usage.total / 1e9:.1f} GB free at {folder}"
    if usage.free < LEAST_FREE_BYTES:
        return Finding(name, "fail", detail, "Make room before anything else: PostgreSQL stops when the disk is full.")
    async with await psycopg.AsyncConnection.connect(plain_url(url), connect_timeout=CONNECT_SECONDS) as connection:
        row = await (await connection.execute("SELECT sum(pg_database_size(oid))::bigint FROM pg_database")).fetchone()
    databases = int(row[0]) if row else 0
    if usage.free < max(FEW_FREE_BYTES, 2 * databases):
        remedy = "Make room: an upgrade begins with a backup, and a rewrite of a table holds it twice."
        return Finding(name, "warn", f"{detail}; the databases hold {databases / 1e9:.1f} GB", remedy)
    return Finding(name, "pass", detail)


def check_clock(whose: str, offset: float | None) -> Finding:
    """How far a server's clock is from this machine's; `offset` is in seconds, positive when it is ahead."""
    if offset is None:
        return Finding("clock", "skip", f"{whose} did not tell its time.")
    detail = f"{whose}'s clock is {abs(offset):.2f} s {'ahead' if offset > 0 else 'behind'}"
    status: Status = "pass"
    if abs(offset) > CLOCK_WARN_SECONDS:
        status = "fail" if abs(offset) > CLOCK_FAIL_SECONDS else "warn"
    return Finding("clock", status, detail, None if status == "pass" else "Let NTP set the clocks of all machines.")


async def temporal_clock_offset(client: Client) -> float:
    """How many seconds Temporal's clock is ahead: from the first event of a workflow that nobody takes.

    Raises:
        RPCError: Temporal does not take it.
    """
    name, sent = f"pavo-clock-{uuid.uuid4()}", time.time()
    handle = await client.start_workflow(
        Probe.run, id=name, task_queue=name, execution_timeout=RPC_TIMEOUT, rpc_timeout=RPC_TIMEOUT
    )
    between = (sent + time.time()) / 2
    history = await handle.fetch_history(rpc_timeout=RPC_TIMEOUT)
    told = history.events[0].event_time
    execution = WorkflowExecution(workflow_id=name, run_id=handle.first_execution_run_id or "")
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    await client.workflow_service.delete_workflow_execution(request, timeout=RPC_TIMEOUT)
    return told.seconds + told.nanos / 1e9 - between
