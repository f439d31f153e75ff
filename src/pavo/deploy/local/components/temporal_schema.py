"""Temporal's schema in PostgreSQL: what is there, how it gets there, and how interrupted work on it is continued.

A database that is being set up carries a mark (its comment in PostgreSQL) from before the first statement until after
the last. A database with the mark of a first set-up is ours and half-made: it is emptied and made anew. An update whose
mark is there is continued where it was left, for `temporal-sql-tool` skips what is there already.

A schema may be one minor ahead of its server: an upgrade raises it first, while the older server runs on it, and a
newer server that does not get ready is taken back to that older one. The older tool never works on it.
"""

import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import psycopg
from psycopg import sql

from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.maintenance import maintenance_connection, maintenance_refusals
from pavo.deploy.local.components.temporal_programs import TemporalPrograms
from pavo.deploy.model.compatibility import parse, rows_within_reach, temporal_row
from pavo.errors import Conflict, Unavailable
from pavo.kit.processes import child_dies_with_us

PLUGIN = "postgres12_pgx"
DATABASES = {"temporal": "postgresql/v12/temporal", "temporal_visibility": "postgresql/v12/visibility"}
"""Each database and the name of its schema in the tool."""
SETTING_UP = "pavo: being set up"
UPDATING = "pavo: being updated"
TOOL_SECONDS = 300.0
LOCK_SECONDS = 30
"""How long to wait for locks that a killed set-up may still hold in the database that is emptied."""


class Condition(StrEnum):
    """What a database is."""

    ABSENT = "absent"
    EMPTY = "empty"
    FOREIGN = "foreign"
    """It holds tables, and they are not Temporal's."""
    HALF_MADE = "half-made"
    """A first set-up was interrupted."""
    HALF_UPDATED = "half-updated"
    """An update was interrupted."""
    THERE = "there"


@dataclass(frozen=True, slots=True)
class TemporalDatabase:
    """One database as it is."""

    database: str
    condition: Condition
    version: str = ""
    """Of its schema; empty before there is one."""


def expected(temporal_version: str) -> dict[str, str]:
    """The schema version of each database that a server of this version asks for; empty when nobody knows."""
    row = temporal_row(temporal_version)
    return {"temporal": row.schema_version, "temporal_visibility": row.visibility_schema} if row else {}


def newest(temporal_version: str) -> dict[str, str]:
    """The newest schema of each database that a server of this version runs on, which is the next minor's; empty when
    nobody knows."""
    if not expected(temporal_version):
        return {}
    rows = rows_within_reach(temporal_version)
    return {
        "temporal": max((row.schema_version for row in rows), key=parse),
        "temporal_visibility": max((row.visibility_schema for row in rows), key=parse),
    }


def needs_work(each: TemporalDatabase, temporal_version: str) -> bool:
    """Whether `prepare` sets it up, or takes up its interrupted update."""
    if each.condition is Condition.HALF_UPDATED:
        wanted = expected(temporal_version).get(each.database)
        return not wanted or parse(each.version) < parse(wanted)
    return each.condition is not Condition.THERE


@maintenance_refusals()
def inspect(server: DatabaseServer) -> dict[str, TemporalDatabase]:
    """Both databases as they are.

    Raises:
        Unavailable: nobody answers, or the role may not look.
    """
    with maintenance_connection(server, "postgres") as connection:
        rows = connection.execute(
            "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database"
        ).fetchall()
    marks = {str(name): str(mark) for name, mark in rows}
    return {name: _inspect(server, name, marks.get(name)) for name in DATABASES}


def _inspect(server: DatabaseServer, database: str, mark: str | None) -> TemporalDatabase:
    if mark is None:
        return TemporalDatabase(database, Condition.ABSENT)
    if mark == SETTING_UP:
        return TemporalDatabase(database, Condition.HALF_MADE)
    with maintenance_connection(server, database) as connection:
        tables = {
            str(row[0])
            for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        }
        if not tables:
            return TemporalDatabase(database, Condition.EMPTY)
        if "schema_version" not in tables:
            return TemporalDatabase(database, Condition.FOREIGN)
        row = connection.execute("SELECT curr_version FROM schema_version").fetchone()
    version = str(row[0]) if row else ""
    if not row or parse(version) == (0, 0):
        return TemporalDatabase(database, Condition.FOREIGN)
    return TemporalDatabase(database, Condition.HALF_UPDATED if mark == UPDATING else Condition.THERE, version)


def prepare(server: DatabaseServer, programs: TemporalPrograms) -> list[str]:
    """Set up what is not there, continue what was interrupted, leave alone what fits; answers what was done.

    An older schema is refused here: raising it belongs to an upgrade, with a backup before it. An interrupted update to
    a schema that these programs do not ask for keeps its mark, for newer ones.

    Raises:
        Conflict: a database holds something else, or a schema that the server does not run on; or the role lacks a
            right.
        Unavailable: the tool failed; its words are told.
    """
    found, done = inspect(server), list[str]()
    for each in found.values():
        refuse(each, programs.version)
    for each in found.values():
        if not needs_work(each, programs.version):
            continue
        if each.condition is Condition.HALF_UPDATED:
            done += update(server, programs, only=each.database)
        else:
            _set_up(server, programs, each)
            done.append(f"{each.database}: schema set up")
    return done


def refuse(each: TemporalDatabase, temporal_version: str) -> None:
    """Refuse what a server of this version must not be started on.

    Raises:
        Conflict: it holds something else, or an older or newer schema.
    """
    if each.condition is Condition.FOREIGN:
        raise Conflict(
            f"The database {each.database} is not empty, and what it holds is not Temporal's.",
            field="--postgres",
            remedy="Use a server without a database of that name, or move that database away.",
        )
    wanted = expected(temporal_version).get(each.database)
    if not wanted or not each.version:
        return
    latest = newest(temporal_version)[each.database]
    if parse(each.version) > parse(latest):
        raise Conflict(
            f"The schema of {each.database} is {each.version}; Temporal {temporal_version} needs {wanted}, and runs on "
            f"none newer than {latest}, its next minor's.",
            field="--temporal-version",
            remedy="Take the newer server it belongs to (pavo deploy versions), or restore an older backup.",
        )
    if each.condition is Condition.THERE and parse(each.version) < parse(wanted):
        raise Conflict(
            f"The schema of {each.database} is {each.version}; Temporal {temporal_version} needs {wanted}.",
            field="--temporal-version",
            remedy="Start the server that it belongs to (pavo deploy versions), then raise both: pavo deploy upgrade.",
        )


def _set_up(server: DatabaseServer, programs: TemporalPrograms, each: TemporalDatabase) -> None:
    name = DATABASES[each.database]
    with maintenance_connection(server, "postgres") as connection:
        with maintenance_refusals(), _permitted(each, server.user):
            if each.condition is Condition.ABSENT:
                _create(connection, each.database)
            _mark(connection, each.database, SETTING_UP)
            if each.condition is Condition.HALF_MADE:
                _begin_anew(connection, server, each.database)
        _tool(server, programs, each.database, "setup-schema", "--version", "0.0")
        _tool(server, programs, each.database, "update-schema", "--schema-name", name)
        _mark(connection, each.database, "")


def make_database(server: DatabaseServer, database: str) -> None:
    """Make a database, if it is not there.

    Raises:
        Conflict: the role may not.
        Unavailable: PostgreSQL refused for another reason.
    """
    with maintenance_connection(server, "postgres") as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
            with maintenance_refusals(), _permitted(TemporalDatabase(database, Condition.ABSENT), server.user):
                _create(connection, database)


def _create(connection: "psycopg.Connection[tuple[object, ...]]", database: str) -> None:
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def _begin_anew(connection: "psycopg.Connection[tuple[object, ...]]", server: DatabaseServer, database: str) -> None:
    """Remove what a killed set-up left. Where the schema public is the administrator's, as before PostgreSQL 15, and
    the role may make databases, the whole database is dropped and made again; if that is killed in between, the next
    start finds no database, or an empty one."""
    try:
        _empty(server, database)
    except psycopg.errors.InsufficientPrivilege:
        may = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
        if connection.execute(may).fetchone() != (True,):
            raise
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
        _create(connection, database)
        _mark(connection, database, SETTING_UP)


def _empty(server: DatabaseServer, database: str) -> None:
    """Remove what a killed set-up left, its sessions first. The database itself stays: the role may not be allowed to
    make another."""
    with maintenance_connection(server, database) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
        )
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOCK_SECONDS}s",))
        with connection.transaction():
            connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
            connection.execute("CREATE SCHEMA public")


@contextmanager
def _permitted(each: TemporalDatabase, user: str) -> Generator[None]:
    """Tell what the role may not do, with the remedy.

    Raises:
        Conflict: in place of PostgreSQL's own error.
    """
    database = each.database
    made = f'ALTER DATABASE {database} OWNER TO "{user}"; and in it: ALTER SCHEMA public OWNER TO "{user}"'
    if each.condition is Condition.ABSENT:
        made = f'CREATE DATABASE {database} OWNER "{user}"; or let it make its own: ALTER ROLE "{user}" CREATEDB'
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise Conflict(
            f"PostgreSQL does not let {user} set up the database {database}: {' '.join(str(error).split())}.",
            field="--postgres",
            remedy=f"As an administrator there: {made}. Then start again.",
        ) from error


def update(server: DatabaseServer, programs: TemporalPrograms, only: str | None = None) -> list[str]:
    """Raise the schemas to what these programs bring; a running older server goes on meanwhile.

    A schema that is newer than what they bring is left alone, with its mark if it has one.

    Raises:
        Unavailable: the tool failed; the databases keep their mark, and the next start or upgrade takes it up again.
    """
    done: list[str] = []
    before, wanted = inspect(server), expected(programs.version)
    for database, name in DATABASES.items():
        newer = database in wanted and parse(before[database].version or "0") > parse(wanted[database])
        if only not in (None, database) or newer:
            continue
        with maintenance_connection(server, "postgres") as connection:
            with maintenance_refusals(), _permitted(before[database], server.user):
                _mark(connection, database, UPDATING)
            _tool(server, programs, database, "update-schema", "--schema-name", name)
            _mark(connection, database, "")
        now = _inspect(server, database, "").version
        if now != before[database].version or only:
            done.append(f"{database}: schema {before[database].version} → {now}")
    return done


def _mark(connection: "psycopg.Connection[tuple[object, ...]]", database: str, mark: str) -> None:
    connection.execute(
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(mark or None))
    )


def _tool(server: DatabaseServer, programs: TemporalPrograms, database: str, *command: str) -> None:
    """Run `temporal-sql-tool`.

    Raises:
        Unavailable: it failed, or did not end in time.
    """
    kept = "What was done is kept; the same command takes it up again."
    try:
        done = subprocess.run(
            [str(programs.sql_tool), *command],
            env=_tool_environment(server, database),
            capture_output=True,
            text=True,
            check=False,
            timeout=TOOL_SECONDS,
            # One that outlived a killed start would work beside the tool of the next start.
            preexec_fn=child_dies_with_us(signal.SIGKILL),
        )
    except subprocess.TimeoutExpired as error:
        said = f"temporal-sql-tool {command[0]} did not end within {TOOL_SECONDS:g} s for {database}. {kept}"
        raise Unavailable(said, dependency="postgres") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        said = f"temporal-sql-tool {command[0]} failed for {database}: {' '.join(lines[-3:])[-600:]} {kept}"
        raise Unavailable(said, dependency="postgres")


def _tool_environment(server: DatabaseServer, database: str) -> dict[str, str]:
    """The login goes by the environment, where other users do not see the password."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "SQL_HOST": server.host,
        "SQL_PORT": str(server.port),
        "SQL_USER": server.user,
        "SQL_PASSWORD": server.password,
        "SQL_DATABASE": database,
        "SQL_PLUGIN": PLUGIN,
        **({"SQL_TLS": "true"} if server.encrypted else {}),
        **({"SQL_TLS_DISABLE_HOST_VERIFICATION": "true"} if server.sslmode != "verify-full" else {}),
        **({"SQL_TLS_CA_FILE": server.ca} if server.ca else {}),
    }
