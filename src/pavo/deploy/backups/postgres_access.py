"""A deployment's PostgreSQL, whether the deployment runs or not, and the programs that read and write its dumps."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.maintenance import maintenance_connection
from pavo.deploy.local.components.postgres_programs import PostgresPrograms, find_postgres
from pavo.deploy.local.dumps import unfinished_restore
from pavo.deploy.local.machine.blocking_work import in_thread
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.local.native import database_server, define_native
from pavo.deploy.local.stack import EmbeddedStack, LocalStack, end_orphans
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import running
from pavo.errors import ConfigurationError


@asynccontextmanager
async def postgres_of(layout: Layout, chosen: Deployment) -> AsyncGenerator[DatabaseServer]:
    """The deployment's PostgreSQL: the running one, an outside one, or its own started for this alone.

    Where nothing runs, processes that a killed supervisor left behind are ended first, and an interrupted restore is
    completed or undone.

    Raises:
        Conflict: somebody else works on the data directory.
    """
    if chosen.target is TargetName.EMBEDDED:
        state = running(layout.root)
        if state is not None:
            yield DatabaseServer.of(state.environment["DATABASE_URL"])
            return
        async with EmbeddedStack(layout.root, parts=("postgres",)) as stack:
            yield DatabaseServer.of(stack.environment["DATABASE_URL"])
        return
    server = database_server(layout, chosen)
    if running(layout.root):
        yield server
        return
    if chosen.outside_postgres:
        with take_lock(layout):  # so that nobody starts meanwhile
            await end_orphans(layout)
            await in_thread(unfinished_restore.finish, layout, server)
            yield server
        return
    async with LocalStack(layout.root, define_native, parts=("postgres",)):
        yield server


def client_programs(chosen: Deployment, server: DatabaseServer) -> tuple[Path, PostgresPrograms]:
    """The folder with pg_dump and pg_restore, and the programs that it belongs to: of the server's own major, or newer.

    Raises:
        ConfigurationError: all that are here are older than the server.
    """
    if not chosen.outside_postgres:
        programs = find_postgres(chosen.postgres)
        return programs.home(unprivileged()) / "bin", programs
    with maintenance_connection(server, "postgres") as connection:
        major = connection.info.server_version // 10_000
    found: list[PostgresPrograms] = []
    for source in ("machine", "wheel"):
        try:
            found.append(find_postgres(source))
        except ConfigurationError:
            continue
    fitting = sorted((each for each in found if each.major >= major), key=lambda each: each.major)
    if not fitting:
        raise ConfigurationError(
            f"The server is PostgreSQL {major}, and no pg_dump here is as new.",
            field="--postgres",
            remedy=f"Install PostgreSQL {major}'s client programs.",
        )
    return fitting[0].home(unprivileged()) / "bin", fitting[0]
