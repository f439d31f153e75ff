"""The native target: Temporal's own server on PostgreSQL, as processes on this machine, without containers."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from pavo.deploy.local.components import temporal_schema as schema
from pavo.deploy.local.components.base import Component, Options, at
from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.own import OwnProcess
from pavo.deploy.local.components.postgres import PostgresServer, Programs
from pavo.deploy.local.components.redis import RedisServer
from pavo.deploy.local.components.temporal_cluster import NAMESPACE, ClusterPorts, TemporalServer, TemporalUi
from pavo.deploy.local.components.temporal_programs import find_temporal, find_ui
from pavo.deploy.local.dumps import unfinished_restore as restoring
from pavo.deploy.local.embedded import migrate, wheel_postgres
from pavo.deploy.local.local_target import Ports, Target, own_environment, urls
from pavo.deploy.local.machine.ports import refuse_taken, replace_taken
from pavo.deploy.local.machine.privileges import Runner, unprivileged
from pavo.deploy.model import deployment as deployments
from pavo.deploy.model.compatibility import matrix
from pavo.deploy.model.deployment import Deployment
from pavo.deploy.model.layout import Layout, Secrets, load_secrets
from pavo.errors import ConfigurationError

DEBIAN = Path("/usr/lib/postgresql")
Say = Callable[[str], None]


def postgres_programs(source: str) -> Programs:
    """The PostgreSQL that `wheel`, `machine` or a folder names.

    Raises:
        ConfigurationError: there is none.
    """
    if source == "wheel":
        return wheel_postgres()
    home = _newest_installed() if source == "machine" else Path(source)
    server = home / "bin" / "postgres"
    if not server.exists() or not (home / "bin" / "initdb").exists():
        raise ConfigurationError(
            f"There is no {server}, or no initdb beside it.",
            field="--postgres",
            remedy="Pass wheel, machine (after installing PostgreSQL), a folder with bin/postgres, or a server's URL.",
        )
    said = subprocess.run([str(server), "--version"], capture_output=True, text=True, check=False).stdout
    major = re.search(r"\d+", said)
    return Programs(_always(home), int(major.group()) if major else 0)


def _always(home: Path) -> Callable[[Runner], Path]:
    return lambda _runner: home


def _newest_installed() -> Path:
    found = [folder for folder in DEBIAN.glob("*") if folder.name.isdigit() and (folder / "bin" / "postgres").exists()]
    if found:
        return max(found, key=lambda folder: int(folder.name))
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent.parent if on_path else DEBIAN / "none"


def choose_ports(chosen: Deployment) -> Deployment:
    """Give every part a port that it keeps; one that somebody else has taken meanwhile is replaced, save the API's."""
    if chosen.ports:
        return chosen.model_copy(update={"ports": replace_taken(chosen.ports)})
    ports = Ports.choose(chosen.port)
    cluster = ClusterPorts.choose(set(asdict(ports).values()))
    return chosen.model_copy(update={"ports": {**asdict(ports), **asdict(cluster)}})


def _ports(chosen: Deployment) -> tuple[Ports, ClusterPorts]:
    own = {name: chosen.ports[name] for name in Ports.__slots__}
    return Ports(**own), ClusterPorts(**{name: chosen.ports[name] for name in ClusterPorts.__slots__})


def database_server(chosen: Deployment, secrets: Secrets) -> DatabaseServer:
    """Where all databases are."""
    if chosen.outside_postgres:
        return DatabaseServer.of(chosen.postgres)
    return DatabaseServer("127.0.0.1", chosen.ports["postgres"], "pavo", secrets.postgres, "disable")


def native(layout: Layout, say: Say = lambda _line: None) -> Target:
    """The target of a data directory, from what was chosen for it.

    Raises:
        ConfigurationError: nothing was chosen, or a program is not to be had.
    """
    chosen = deployments.load(layout)
    if chosen is None:
        raise ConfigurationError("Nothing is deployed here.", field="--data-dir", remedy="pavo deploy start")
    refuse_taken(chosen.ports)  # Temporal's own directory of peers holds them as well
    secrets = load_secrets(layout)
    ports, _ = _ports(chosen)
    options = Options(ports.api, chosen.workers, chosen.apis, allow_file_origin=chosen.allow_file_origin)
    server = database_server(chosen, secrets)
    components = _stores(layout, chosen, secrets, server, say)
    ui_address = components["temporal-ui"].address if "temporal-ui" in components else ""
    environment = {
        "DATABASE_URL": server.url("pavo"),
        "REDIS_URL": chosen.redis if chosen.outside_redis else f"redis://:{secrets.redis}@{at(ports.redis)}/0",
        "TEMPORAL_ADDRESS": components["temporal"].address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "TEMPORAL_TASK_QUEUE": "orchestrator",
    }
    own = own_environment(environment, options, ports, secrets.session_key)
    own["PAVO_SEARCH_ATTRIBUTES"] = "true"
    own["PAVO_TEMPORAL_UI_URL"] = f"http://{ui_address}" if ui_address else ""
    components["api"] = OwnProcess(layout, _own_now(layout, own), at(ports.api))
    components["worker"] = OwnProcess(layout, _own_now(layout, own))
    return Target(
        "native",
        options,
        components,
        {**environment, "PAVO_TEMPORAL_DATABASE_URL": server.url("temporal")},
        urls(ports.api, f"http://{ui_address}" if ui_address else ""),
        {"temporal": chosen.temporal_version, "postgres": chosen.postgres_version},
        before=lambda: _prepare_outside(layout, chosen, server, say),
    )


def _own_now(layout: Layout, own: dict[str, str]) -> Callable[[], dict[str, str]]:
    """The environment of Pavo's own processes, with the build id that is chosen when one is started."""

    def now() -> dict[str, str]:
        chosen = deployments.load(layout)
        return {**own, "PAVO_WORKER_BUILD_ID": chosen.worker_build} if chosen and chosen.worker_build else own

    return now


def _stores(
    layout: Layout, chosen: Deployment, secrets: Secrets, server: DatabaseServer, say: Say
) -> dict[str, Component]:
    ports, cluster = _ports(chosen)
    found: dict[str, Component] = {}
    if not chosen.outside_postgres:
        found["postgres"] = PostgresServer(
            layout,
            unprivileged(),
            postgres_programs(chosen.postgres),
            port=ports.postgres,
            password=secrets.postgres,
            ephemeral=False,
            databases=("pavo",),
            settled=migrate,
            answered=lambda: restoring.finish(layout, server, say),
        )
    if not chosen.outside_redis:
        found["redis"] = RedisServer(layout, port=ports.redis, password=secrets.redis, ephemeral=False)

    find_temporal(chosen.temporal_version, chosen.temporal_bin, say)  # what is missing is said before anything starts

    def programs():
        now = deployments.load(layout) or chosen
        return find_temporal(now.temporal_version, now.temporal_bin, say)

    retention = timedelta(days=chosen.retention_days)
    found["temporal"] = TemporalServer(
        layout, server, programs, cluster, shards=chosen.shards, retention=retention, said=say
    )
    if chosen.temporal_ui:
        program = find_ui(matrix().pins.temporal_ui, say)
        if isinstance(program, Path):
            found["temporal-ui"] = TemporalUi(layout, program, port=ports.temporal_ui, temporal=at(cluster.frontend))
        else:
            say(f"Temporal's web UI is left out. {program}")
    return found


def _prepare_outside(layout: Layout, chosen: Deployment, server: DatabaseServer, say: Say) -> None:
    """On somebody else's PostgreSQL: our database and its schema."""
    if not chosen.outside_postgres:
        return
    restoring.finish(layout, server, say)
    schema.make_database(server, "pavo")
    migrate(server.url("pavo"))


def detected_postgres(chosen: Deployment) -> str:
    """The version of the PostgreSQL that will run or runs: `15.19`, or the major of programs.

    Raises:
        ConfigurationError: no such programs, or the login is refused.
        Unavailable: the outside server does not answer.
    """
    if not chosen.outside_postgres:
        return str(postgres_programs(chosen.postgres).major)
    with schema.connect(DatabaseServer.of(chosen.postgres), "postgres") as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]).split()[0] if row else ""
