"""What a start of the native target would do, before anything is done."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pavo.deploy import deployment as deployments
from pavo.deploy import native, schema
from pavo.deploy.compatibility import Finding, Verdict, assess, matrix, refuse_bad
from pavo.deploy.components.database import DatabaseServer
from pavo.deploy.components.postgres import postgres_place
from pavo.deploy.deployment import Deployment, TargetName
from pavo.deploy.layout import Layout
from pavo.deploy.parts import PARTS
from pavo.deploy.privileges import unprivileged
from pavo.deploy.state import running
from pavo.deploy.temporal_programs import SERVER, cache_folder, version_of
from pavo.errors import ConfigurationError, Conflict

FIXED = ("target", "temporal_version", "postgres", "shards")
"""What cannot be changed by starting again."""


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One line of the plan."""

    name: str
    version: str
    address: str
    data: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be there, what changes, and what the version matrix says."""

    chosen: Deployment
    parts: tuple[PlannedPart, ...]
    changes: tuple[str, ...]
    findings: tuple[Finding, ...]


def settle_choice(layout: Layout, wanted: Deployment) -> Deployment:
    """What is chosen now, with what was remembered of earlier starts.

    Raises:
        Conflict: the data directory holds another target, or something that only an upgrade may change differs.
    """
    kept = deployments.load(layout)
    if kept is None:
        if (layout.root / "temporal" / "temporal.db").exists():
            raise Conflict(
                f"{layout.root} holds the data of an embedded stack.",
                field="--data-dir",
                remedy="Choose another --data-dir for this target; tasks do not move between targets by themselves.",
            )
        return wanted
    for name in FIXED:
        before, now = getattr(kept, name), getattr(wanted, name)
        if before != now:
            raise Conflict(
                f"{layout.root} was deployed with {name.replace('_', ' ')} {before}, not {now}.",
                field=f"--{name.replace('_', '-')}",
                remedy="Change Temporal's version with pavo deploy upgrade."
                if name == "temporal_version"
                else "Choose another --data-dir, and move the data with pavo deploy backup and restore.",
            )
    return wanted.model_copy(update={"ports": kept.ports, "forced": kept.forced, "worker_build": kept.worker_build})


def plan_native(layout: Layout, wanted: Deployment, *, postgres_version: str | None, force: bool) -> Plan:
    """Look at everything that a start needs; nothing is changed.

    Raises:
        ConfigurationError: a version is known bad, or programs are missing.
        Conflict: the directory or the databases hold something else.
        Unavailable: an outside server does not answer.
    """
    chosen = settle_choice(layout, wanted)
    detected = native.detected_postgres(chosen)
    if postgres_version and not detected.startswith(postgres_version):
        raise ConfigurationError(
            f"PostgreSQL is {detected} there, not {postgres_version}.",
            field="--postgres-version",
            remedy="Leave the option away to take what is there, or name another server with --postgres.",
        )
    findings = assess(temporal=chosen.temporal_version, postgres=detected)
    forced = refuse_bad(findings, forced=force)
    chosen = chosen.model_copy(
        update={"postgres_version": detected, "forced": sorted({*chosen.forced, *forced}), "target": TargetName.NATIVE}
    )
    chosen = native.choose_ports(chosen)
    return Plan(chosen, _parts(layout, chosen), tuple(_changes(layout, chosen)), tuple(findings))


def _parts(layout: Layout, chosen: Deployment) -> tuple[PlannedPart, ...]:
    ports = chosen.ports
    outside = "outside"
    described = {
        "postgres": (chosen.postgres_version, _where(chosen), outside if chosen.outside_postgres else _data(layout)),
        "redis": (
            "outside" if chosen.outside_redis else "Valkey (wheel)",
            _host(chosen.redis) if chosen.outside_redis else f"127.0.0.1:{ports['redis']}",
            outside if chosen.outside_redis else str(layout.root / "redis"),
        ),
        "temporal": (chosen.temporal_version, f"127.0.0.1:{ports['frontend']}", "in PostgreSQL"),
        "temporal-ui": (matrix().pins.temporal_ui, f"127.0.0.1:{ports['temporal_ui']}", ""),
        "api": (f"× {chosen.apis}", f"127.0.0.1:{ports['api']}", "in PostgreSQL"),
        "worker": (f"× {chosen.workers}", "", "in PostgreSQL"),
    }
    names = [name for name in PARTS if name != "temporal-ui" or chosen.temporal_ui]
    return tuple(PlannedPart(name, *described[name]) for name in names)


def _data(layout: Layout) -> str:
    return str(postgres_place(layout, unprivileged()) / "data")


def _where(chosen: Deployment) -> str:
    return _host(chosen.postgres) if chosen.outside_postgres else f"127.0.0.1:{chosen.ports['postgres']}"


def _host(url: str) -> str:
    """host:port of a URL, without its password."""
    return url.rpartition("@")[2].partition("/")[0].removeprefix("redis://")


def _changes(layout: Layout, chosen: Deployment) -> list[str]:
    if running(layout.root):
        raise Conflict(
            f"A stack runs on {layout.root} already.", field="--data-dir", remedy="Look at it: pavo deploy status"
        )
    changes: list[str] = []
    if not layout.root.exists():
        changes.append(f"the data directory {layout.root} is made")
    if not _has_program(chosen):
        changes.append(f"temporal-server and temporal-sql-tool {chosen.temporal_version} are built with Go (minutes)")
    changes += _schema_changes(layout, chosen)
    if not deployments.path(layout).exists():
        changes.append(f"the namespace default is registered, closed workflows are kept {chosen.retention_days} days")
    return changes


def _schema_changes(layout: Layout, chosen: Deployment) -> list[str]:
    wanted = schema.expected(chosen.temporal_version)
    if not chosen.outside_postgres:
        if (Path(_data(layout)) / "PG_VERSION").exists():
            return []
        databases = [f"database {name}: schema {wanted.get(name, '?')}" for name in schema.DATABASES]
        return [f"a PostgreSQL cluster is made in {_data(layout)}", *databases]
    changes: list[str] = []
    for found in schema.inspect(DatabaseServer.of(chosen.postgres)).values():
        schema.refuse(found, chosen.temporal_version)
        if schema.needs_work(found, chosen.temporal_version):
            changes.append(f"database {found.database} ({found.condition}): schema {wanted.get(found.database)}")
    return changes


def _has_program(chosen: Deployment) -> bool:
    if chosen.temporal_bin is not None or (cache_folder() / "temporal" / chosen.temporal_version / SERVER).exists():
        return True
    on_path = shutil.which(SERVER)
    return on_path is not None and version_of(Path(on_path)) == chosen.temporal_version


def warnings(plan: Plan) -> list[str]:
    """What the matrix does not call good."""
    return [each.what for each in plan.findings if each.verdict is not Verdict.GOOD]
