"""Upgrading a running native deployment: backup, schema, servers, Pavo's schema, API, gateway, workers; each minor.

The order is Temporal's own: the schema is raised while the older server still runs on it, then the server follows. A
server that does not get ready is taken back to the version before, for the raised schema serves that one as well. One
that was ready has written in its own way, and there is no way back but the backup: that is refused, and said.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

from pavo.config import Settings
from pavo.deploy.backups.take_backup import take_backup
from pavo.deploy.local import control
from pavo.deploy.local.components import temporal_schema
from pavo.deploy.local.components.database import migrate_pavo
from pavo.deploy.local.components.temporal_programs import find_temporal
from pavo.deploy.local.deployed import must_be_native
from pavo.deploy.local.native import database_server
from pavo.deploy.model import deployment as deployments
from pavo.deploy.model.compatibility import Assessment, assess, matrix, minors_between, parse, refuse_bad
from pavo.deploy.model.deployment import Deployment
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.progress import Say
from pavo.deploy.model.state import running
from pavo.deploy.rollout.draining import LongSteps
from pavo.deploy.rollout.worker_rollout import roll_native
from pavo.errors import Conflict, PavoError, Unavailable
from pavo.kit import migrate
from pavo.temporal.client import connect_to


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """What an upgrade will pass through."""

    chosen: Deployment
    running_version: str
    steps: tuple[str, ...]
    """Versions of Temporal, one minor after the other; empty when the server stays."""
    schemas: tuple[str, ...]
    """What the last step's server needs, for people."""
    pending: tuple[str, ...]
    """Of Pavo's own migrations."""
    assessments: tuple[Assessment, ...]
    programs: Path | None = None
    """A folder with the last step's programs; else they are found."""


async def plan_upgrade(
    layout: Layout, wanted: str | None, *, programs: Path | None = None, force: bool = False
) -> UpgradePlan:
    """Look at everything, change nothing.

    Raises:
        ConfigurationError: the version is known bad, or older than what runs.
        Conflict: the deployment does not run.
    """
    chosen = must_be_native(layout)
    if running(layout.root) is None:
        raise Conflict(
            "The deployment does not run; an upgrade passes every minor with a running server.",
            field="--data-dir",
            remedy="Start it first: pavo deploy start",
        )
    target = wanted or matrix().pins.temporal
    assessments = assess(temporal=target, postgres=chosen.postgres_version or None)
    forced = refuse_bad(assessments, forced=force)
    chosen = chosen.model_copy(update={"forced": sorted({*chosen.forced, *forced})})
    now = await server_version(control.must_run(layout.root).environment)
    steps = _steps(now, target)
    server = database_server(layout, chosen)
    return UpgradePlan(
        chosen,
        now,
        steps,
        tuple(f"{name} {version}" for name, version in temporal_schema.expected(target).items()),
        tuple(await asyncio.to_thread(migrate.pending, server.url("pavo"))),
        tuple(assessments),
        programs,
    )


def _steps(now: str, target: str) -> tuple[str, ...]:
    """The known patch of every minor in between, then the wanted version itself."""
    if parse(now) == parse(target):
        return ()
    known = matrix().path
    passed = [known[minor] for minor in minors_between(now, target)[:-1] if minor in known]
    missing = [minor for minor in minors_between(now, target)[:-1] if minor not in known]
    if missing:
        raise Conflict(
            f"Between Temporal {now} and {target} lies {', '.join(missing)}, of which this Pavo knows no version.",
            field="--temporal-version",
            remedy="Upgrade to a version of that minor first.",
        )
    return (*passed, target)


async def server_version(addresses: Mapping[str, str]) -> str:
    """What the running server says of itself.

    Args:
        addresses: how a stack's clients reach it.
    """
    client = await connect_to(addresses)
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=timedelta(seconds=5))
    return info.server_version


async def perform_upgrade(
    layout: Layout,
    plan: UpgradePlan,
    settings: Settings,
    say: Say,
    *,
    build: str = "",
    backup: bool = True,
    long_steps: LongSteps | None = None,
) -> Path | None:
    """Do what was planned; answers the backup's folder. After an interruption, the same command continues where it
    stopped.

    Args:
        build: the build id of the installed code's workers; without, they keep theirs or have none.
        long_steps: what is told and done about tasks that do not move to them by themselves.

    Raises:
        Unavailable: a server did not get ready; it was taken back, or the message says why not.
    """
    place: Path | None = None
    if backup:
        place, _ = await take_backup(layout, None, verify=True, say=say)
    for version in plan.steps:
        await _pass(layout, plan, version, say, place)
    server = database_server(layout, plan.chosen)
    await asyncio.to_thread(migrate_pavo, server.url("pavo"))
    if plan.pending:
        say(f"Pavo's schema: {', '.join(plan.pending)} applied.")
    await _begin_anew(layout, "api", say)
    await _begin_anew(layout, "gateway", say)  # its agents work on meanwhile, and find the new one within seconds
    now = deployments.load(layout) or plan.chosen
    if build or now.worker_build:
        await roll_native(layout, settings, build or now.worker_build, say, long_steps=long_steps)
    else:
        await _begin_anew(layout, "worker", say)
    return place


async def _begin_anew(layout: Layout, kind: str, say: Say) -> None:
    """Start the parts of a kind again, one after the other; an older supervisor has no gateway."""
    if control.has_part(layout.root, kind):
        for name in await control.restart(layout.root, kind):
            say(f"{name} runs the installed code.")


async def _pass(layout: Layout, plan: UpgradePlan, version: str, say: Say, place: Path | None) -> None:
    """One step: programs, schema, server."""
    before = deployments.load(layout) or plan.chosen
    programs = await asyncio.to_thread(find_temporal, version, _given(plan, version), say)
    server = database_server(layout, before)
    for line in await asyncio.to_thread(temporal_schema.update, server, programs):
        say(line)
    after = before.model_copy(
        update={"temporal_version": version, "temporal_bin": _given(plan, version), "forced": plan.chosen.forced}
    )
    deployments.save(layout, after)
    try:
        await control.restart(layout.root, "temporal")
    except PavoError as error:
        deployments.save(layout, before)
        await _take_back(layout, before, version, error, place)
        raise
    found = await server_version(control.must_run(layout.root).environment)
    if found != version:
        raise Unavailable(f"Temporal says that it is {found}, not {version}.", dependency="temporal")
    say(f"Temporal {version} runs.")


def _given(plan: UpgradePlan, version: str) -> Path | None:
    """The named folder of programs, which holds the last version; programs of the versions in between are searched
    for."""
    return plan.programs if version == plan.steps[-1] else None


async def _take_back(layout: Layout, before: Deployment, version: str, error: PavoError, place: Path | None) -> None:
    try:
        await control.restart(layout.root, "temporal")
    except PavoError as again:
        raise Unavailable(
            f"Temporal {version} did not get ready ({error.detail}), and {before.temporal_version} neither "
            f"({again.detail}). Restore the backup: pavo deploy stop, then pavo deploy restore {place or 'BACKUP'}.",
            dependency="temporal",
        ) from error
    raise Unavailable(
        f"Temporal {version} did not get ready and was taken back to {before.temporal_version}, which runs on the "
        f"raised schema as well. {error.detail}",
        dependency="temporal",
    ) from error
