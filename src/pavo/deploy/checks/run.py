"""All checks of a rollout, in the order in which people read them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from temporalio.client import Client
from temporalio.service import RPCError

from pavo.config import Settings
from pavo.deploy.certificates.judge import judge_tls
from pavo.deploy.checks import environment as e
from pavo.deploy.checks import migrations, replay
from pavo.deploy.checks.connectivity import TemporalReached, reach_postgres, reach_redis, reach_temporal
from pavo.deploy.checks.gateway import GatewayReach, reach_gateway
from pavo.deploy.checks.replay import Replayed
from pavo.deploy.checks.temporal_schema import check_temporal_schemas
from pavo.deploy.model.findings import Finding, succeeded
from pavo.deploy.model.layout import Layout
from pavo.deploy.rollout import worker_versions
from pavo.errors import PavoError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is checked."""

    workflows: Sequence[type]
    """The workflow classes of this build; `deploy` itself knows none."""
    limit: int = 500
    """So many open histories are replayed at most."""
    accept_breaking: bool = False
    data_dir: Path | None = None
    """Where the stack keeps its data, if that is on this machine."""
    apis: int = 1
    workers: int = 1
    gateway: GatewayReach | None = None
    """None: none is known here."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome."""

    findings: tuple[Finding, ...]
    replayed: Replayed | None

    @property
    def ok(self) -> bool:
        """Whether the rollout may go on."""
        return succeeded(self.findings)


async def check_rollout(settings: Settings, wanted: Wanted) -> Checked:
    """Look at everything, change nothing beyond a probe workflow that is removed.

    What cannot be looked at is a finding, not an exception.
    """
    postgres, redis, temporal = await asyncio.gather(
        reach_postgres(settings.database.url), reach_redis(settings.redis.url), reach_temporal(settings.temporal)
    )
    found = [e.check_settings(settings), postgres.finding, redis, temporal.finding]
    if wanted.data_dir is not None and (tls := judge_tls(Layout(wanted.data_dir), datetime.now(UTC))):
        found.append(tls)
    if wanted.gateway is not None:
        found.append(await reach_gateway(wanted.gateway))
    found += e.check_versions(temporal.version, postgres.version)
    found += await check_temporal_schemas(settings.temporal.database_url, temporal)
    if postgres.version:
        found += await _of_postgres(settings, wanted, postgres.clock_offset)
    found += await _of_temporal(settings, temporal)
    replayed, lines = await _histories(settings, wanted, temporal.client)
    return Checked((*found, *lines), replayed)


async def _of_postgres(settings: Settings, wanted: Wanted, offset: float | None) -> list[Finding]:
    found = [e.check_clock("PostgreSQL", offset)]
    try:
        found.append(await e.check_connections(settings, wanted.apis, wanted.workers))
        if wanted.data_dir is not None:
            found.append(await e.check_disk(wanted.data_dir, settings.database.url))
        return found + await asyncio.to_thread(migrations.check_migrations, settings.database.url)
    except (psycopg.Error, PavoError) as error:
        return [*found, Finding("postgres", "fail", " ".join(str(error).split()), "Look at PostgreSQL's log.")]


async def _of_temporal(settings: Settings, temporal: TemporalReached) -> list[Finding]:
    if temporal.client is None:
        return []
    clock, name, queue = e.check_clock, settings.execution.deployment, settings.temporal.task_queue
    try:
        offset = await e.temporal_clock_offset(temporal.client)
        return [clock("Temporal", offset), _versions(await worker_versions.describe(temporal.client, name, queue))]
    except (RPCError, PavoError) as error:
        return [Finding("temporal", "fail", str(error), "Look at Temporal's log: pavo logs temporal")]


def _versions(deployment: worker_versions.WorkerDeployment) -> Finding:
    if not deployment.versions:
        return Finding("worker versions", "pass", "workers have no versions")
    behind = ", ".join(f"{count} on {build}" for build, count in deployment.behind.items())
    current = f"current {deployment.current or 'none'}"
    if not deployment.current:
        remedy = "Name one: pavo deploy workers --set-current BUILD"
        return Finding("worker versions", "warn", f"{current}: versioned workers get no new tasks", remedy)
    if behind:
        remedy = "Keep their workers until they moved on: pavo deploy workers --drain"
        return Finding("worker versions", "warn", f"{current}; open runs: {behind}", remedy)
    return Finding("worker versions", "pass", f"{current}, no run is behind")


async def _histories(
    settings: Settings, wanted: Wanted, client: Client | None
) -> tuple[Replayed | None, list[Finding]]:
    if client is None:
        return None, [Finding(replay.NAME, "skip", "needs Temporal")]
    queue, worker = settings.temporal.task_queue, settings.execution
    try:
        replayed = await replay.replay_open(client, queue, wanted.workflows, limit=wanted.limit)
    except RPCError as error:
        return None, [Finding(replay.NAME, "fail", error.message, "Look at Temporal's log: pavo logs temporal")]
    version = f"{worker.deployment}:{worker.build_id}" if worker.build_id else ""
    return replayed, replay.findings(replayed, version=version, accept_breaking=wanted.accept_breaking)
