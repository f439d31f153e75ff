"""The native target: Temporal's own server on PostgreSQL, as processes on this machine, without containers."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pavo.deploy.certificates.kept import OPERATOR, Certificates
from pavo.deploy.certificates.parts import TEMPORAL, ClientFiles, certificates_of
from pavo.deploy.local.components.component import Component
from pavo.deploy.local.components.database import DatabaseServer, migrate_pavo
from pavo.deploy.local.components.gateway_process import (
    GatewayPlace,
    GatewayProcess,
    certified_names,
    gateway_settings,
    wanted_port,
    with_gateway,
)
from pavo.deploy.local.components.maintenance import maintenance_connection
from pavo.deploy.local.components.pavo_process import PavoProcess
from pavo.deploy.local.components.postgres import PostgresServer
from pavo.deploy.local.components.postgres_programs import find_postgres, speaks_tls
from pavo.deploy.local.components.redis import RedisServer
from pavo.deploy.local.components.temporal_cluster import ClusterPorts, TemporalServer, TemporalUi
from pavo.deploy.local.components.temporal_programs import find_temporal, find_ui
from pavo.deploy.local.components.temporal_schema import make_database
from pavo.deploy.local.definition import (
    LocalOptions,
    StackDefinition,
    StackPorts,
    addresses_of,
    api_address,
    api_host,
    local_urls,
    pavo_environment,
)
from pavo.deploy.local.dumps import unfinished_restore
from pavo.deploy.local.machine.ports import LOOPBACK, on_loopback, refuse_taken, replace_taken
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.model import deployment as deployments
from pavo.deploy.model.compatibility import matrix
from pavo.deploy.model.deployment import Deployment
from pavo.deploy.model.layout import Layout, Secrets, load_secrets
from pavo.deploy.model.parts import PAVOS_OWN
from pavo.deploy.model.progress import Say, say_nothing
from pavo.errors import ConfigurationError


def choose_ports(layout: Layout, chosen: Deployment) -> Deployment:
    """Give every part a port that it keeps. One that another program has taken meanwhile is replaced, except for those
    that are known outside."""
    if chosen.ports:
        return chosen.model_copy(update={"ports": with_gateway(layout, replace_taken(chosen.ports))})
    ports = StackPorts.choose(chosen.port, wanted_port(layout))
    cluster = ClusterPorts.choose(set(asdict(ports).values()))
    return chosen.model_copy(update={"ports": {**asdict(ports), **asdict(cluster)}})


def _ports(chosen: Deployment) -> tuple[StackPorts, ClusterPorts]:
    own = {name: chosen.ports[name] for name in StackPorts.__slots__}
    return StackPorts(**own), ClusterPorts(**{name: chosen.ports[name] for name in ClusterPorts.__slots__})


def certificates(layout: Layout, chosen: Deployment) -> Certificates | None:
    """The deployment's own; None where its parts speak plainly."""
    return certificates_of(layout, chosen.tls_parts, certified_names(gateway_settings(layout))) if chosen.tls else None


def servers_with_tls(chosen: Deployment) -> list[str]:
    """The servers of this deployment that can speak TLS. The wheels of PostgreSQL and Valkey are built without; an
    outside server has certificates of its own."""
    if not chosen.tls:
        return []
    if chosen.outside_postgres or not speaks_tls(find_postgres(chosen.postgres), unprivileged()):
        return [TEMPORAL]
    return [TEMPORAL, "postgres"]


def plain_servers(chosen: Deployment) -> list[str]:
    """The servers of this deployment's own that speak without TLS."""
    own = {"postgres": not chosen.outside_postgres, "redis": not chosen.outside_redis, TEMPORAL: True}
    return [name for name, is_own in own.items() if is_own and name not in chosen.tls_parts]


def database_server(layout: Layout, chosen: Deployment) -> DatabaseServer:
    """Where all databases are."""
    if chosen.outside_postgres:
        return DatabaseServer.of(chosen.postgres)
    secrets = load_secrets(layout)
    own = certificates(layout, chosen)
    if own and "postgres" in chosen.tls_parts:
        ca = str(own.trusted)
        return DatabaseServer(LOOPBACK, chosen.ports["postgres"], "pavo", secrets.postgres, "verify-full", ca)
    return DatabaseServer(LOOPBACK, chosen.ports["postgres"], "pavo", secrets.postgres, "disable")


def define_native(layout: Layout, say: Say = say_nothing) -> StackDefinition:
    """The definition of a data directory's stack, from what was chosen for it.

    Raises:
        ConfigurationError: nothing was chosen, or a program cannot be found.
    """
    chosen = deployments.load(layout)
    if chosen is None:
        raise ConfigurationError("Nothing is deployed here.", field="--data-dir", remedy="pavo deploy start")
    chosen = _with_gateway_port(layout, chosen)
    refuse_taken(chosen.ports)  # Temporal's own directory of peers holds them as well
    secrets = load_secrets(layout)
    ports, _ = _ports(chosen)
    options = LocalOptions(ports.api, chosen.workers, chosen.apis, allow_file_origin=chosen.allow_file_origin)
    server = database_server(layout, chosen)
    if found := certificates(layout, chosen):
        found.ensure(datetime.now(UTC))
    components = _stores(layout, chosen, secrets, server, say)
    ui_address = components["temporal-ui"].address if "temporal-ui" in components else ""
    redis = chosen.redis if chosen.outside_redis else f"redis://:{secrets.redis}@{on_loopback(ports.redis)}/0"
    environment = addresses_of(server.url("pavo"), redis, components["temporal"].address)
    own = pavo_environment(environment, options, ports, secrets.session_key, api_host(layout))
    api = api_address(own["PAVO_HOST"], ports.api)
    own["PAVO_SEARCH_ATTRIBUTES"] = "true"
    own["PAVO_TEMPORAL_UI_URL"] = f"http://{ui_address}" if ui_address else ""
    gateway = GatewayPlace.of(layout, ports.gateway)
    told = {name: _environment_now(layout, {**own, **_shown_by(layout, chosen, name)}) for name in PAVOS_OWN}
    components["api"] = PavoProcess(layout, told["api"], api)
    components["worker"] = PavoProcess(layout, told["worker"])
    components["gateway"] = GatewayProcess(layout, told["gateway"], gateway)
    return StackDefinition(
        "native",
        options,
        components,
        environment | _shown_by(layout, chosen, OPERATOR) | {"PAVO_TEMPORAL_DATABASE_URL": server.url("temporal")},
        local_urls(api, f"http://{ui_address}" if ui_address else "", gateway),
        {"temporal": chosen.temporal_version, "postgres": chosen.postgres_version},
        before=lambda: _prepare_outside(layout, chosen, server, say),
    )


def _with_gateway_port(layout: Layout, chosen: Deployment) -> Deployment:
    """A deployment of before there were gateways gets a port for one, which it keeps."""
    if "gateway" in chosen.ports:
        return chosen
    found = chosen.model_copy(update={"ports": with_gateway(layout, chosen.ports)})
    deployments.save(layout, found)
    return found


def _shown_by(layout: Layout, chosen: Deployment, part: str) -> dict[str, str]:
    """The variables by which a client of Temporal finds its certificate; none without TLS."""
    files = _files(layout, chosen, part)
    return files.environment() if files else {}


def _environment_now(layout: Layout, own: dict[str, str]) -> Callable[[], dict[str, str]]:
    """The environment of Pavo's own processes, with the build id that is chosen when one is started."""

    def now() -> dict[str, str]:
        chosen = deployments.load(layout)
        return {**own, "PAVO_WORKER_BUILD_ID": chosen.worker_build} if chosen and chosen.worker_build else own

    return now


def _stores(
    layout: Layout, chosen: Deployment, secrets: Secrets, server: DatabaseServer, say: Say
) -> dict[str, Component]:
    ports, _ = _ports(chosen)
    found: dict[str, Component] = {}
    if not chosen.outside_postgres:
        found["postgres"] = PostgresServer(
            layout,
            unprivileged(),
            find_postgres(chosen.postgres),
            port=ports.postgres,
            password=secrets.postgres,
            ephemeral=False,
            databases=("pavo",),
            settled=migrate_pavo,
            answered=lambda: unfinished_restore.finish(layout, server, say),
            files=_files(layout, chosen, "postgres") if "postgres" in chosen.tls_parts else None,
        )
    if not chosen.outside_redis:
        found["redis"] = RedisServer(layout, port=ports.redis, password=secrets.redis, ephemeral=False)
    return {**found, **_temporal(layout, chosen, server, say)}


def _temporal(layout: Layout, chosen: Deployment, server: DatabaseServer, say: Say) -> dict[str, Component]:
    ports, cluster = _ports(chosen)
    # Now already, so that a missing program is reported before anything starts.
    find_temporal(chosen.temporal_version, chosen.temporal_bin, say)

    def programs():
        now = deployments.load(layout) or chosen
        return find_temporal(now.temporal_version, now.temporal_bin, say)

    found: dict[str, Component] = {
        "temporal": TemporalServer(
            layout,
            server,
            programs,
            cluster,
            shards=chosen.shards,
            retention=timedelta(days=chosen.retention_days),
            say=say,
            server_files=_files(layout, chosen, TEMPORAL),
            operator_files=_files(layout, chosen, OPERATOR),
        )
    }
    if chosen.temporal_ui:
        program = find_ui(matrix().pins.temporal_ui, say)
        if isinstance(program, Path):
            at, files = on_loopback(cluster.frontend), _files(layout, chosen, "temporal-ui")
            found["temporal-ui"] = TemporalUi(layout, program, port=ports.temporal_ui, temporal=at, files=files)
        else:
            say(f"Temporal's web UI is left out. {program}")
    return found


def _files(layout: Layout, chosen: Deployment, part: str) -> ClientFiles | None:
    own = certificates(layout, chosen)
    return ClientFiles.of(own, part) if own else None


def _prepare_outside(layout: Layout, chosen: Deployment, server: DatabaseServer, say: Say) -> None:
    """Make our database and its schema on somebody else's PostgreSQL."""
    if not chosen.outside_postgres:
        return
    unfinished_restore.finish(layout, server, say)
    make_database(server, "pavo")
    migrate_pavo(server.url("pavo"))


def detected_postgres(chosen: Deployment) -> str:
    """The version of the PostgreSQL that will run or runs: `15.19`, or the major of programs.

    Raises:
        ConfigurationError: no such programs, or the login is refused.
        Unavailable: the outside server does not answer.
    """
    if not chosen.outside_postgres:
        return str(find_postgres(chosen.postgres).major)
    with maintenance_connection(DatabaseServer.of(chosen.postgres), "postgres") as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]).split()[0] if row else ""
