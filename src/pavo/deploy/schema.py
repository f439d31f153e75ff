"""Temporal's schema in PostgreSQL: what is there, how it gets there, and how an interrupted work is taken up again.

A database that is being set up carries a mark (its comment in PostgreSQL) from before the first statement until after
the last. What carries the mark of a first set-up is ours and half-made, and is made anew; what carries the mark of an
update is taken up where it was left, for `temporal-sql-tool` passes over what is there already.
"""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import psycopg
from psycopg import sql

from pavo.deploy.compatibility import parse, temporal_row
from pavo.deploy.components.database import DatabaseServer
from pavo.deploy.temporal_programs import TemporalPrograms
from pavo.errors import ConfigurationError, Conflict, Unavailable

PLUGIN = "postgres12_pgx"
DATABASES = {"temporal": "postgresql/v12/temporal", "temporal_visibility": "postgresql/v12/visibility"}
"""Each database and the name of its schema in the tool."""
SETTING_UP = "pavo: being set up"
UPDATING = "pavo: being updated"
TOOL_SECONDS = 300.0


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
class Found:
    """One database as it is."""

    database: str
    condition: Condition
    version: str = ""
    """Of its schema; empty before there is one."""


def expected(temporal_version: str) -> dict[str, str]:
    """The schema version of each database that a server of this version asks for; empty when nobody knows."""
    row = temporal_row(temporal_version)
    return {"temporal": row.schema_version, "temporal_visibility": row.visibility_schema} if row else {}


@contextmanager
def translated() -> Generator[None]:
    """What PostgreSQL or the disk refuses in the middle of maintenance, in our words.

    Raises:
        Unavailable: with PostgreSQL's own.
    """
    try:
        yield
    except psycopg.Error as error:
        raise Unavailable(f"PostgreSQL refused: {' '.join(str(error).split())[:300]}", dependency="postgres") from error
    except OSError as error:
        raise Unavailable(f"A file cannot be written: {error}", dependency="disk") from error


def connect(server: DatabaseServer, database: str) -> "psycopg.Connection[tuple[object, ...]]":
    """An own connection for maintenance.

    Raises:
        ConfigurationError: the password or the user is wrong.
        Unavailable: nobody answers.
    """
    try:
        return psycopg.connect(server.url(database), autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        said = " ".join(str(error).split())
        if "authentication failed" in said or "no password supplied" in said or "does not exist" in said:
            raise ConfigurationError(
                f"PostgreSQL at {server.host}:{server.port} refuses the login: {said[-200:]}",
                field="--postgres",
                remedy="Look at the user, the password and the database's name in the URL.",
            ) from error
        raise Unavailable(
            f"PostgreSQL at {server.host}:{server.port} does not answer: {said[-200:]}", dependency="postgres"
        ) from error


def inspect(server: DatabaseServer) -> dict[str, Found]:
    """Both databases as they are."""
    with connect(server, "postgres") as connection:
        rows = connection.execute(
            "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database"
        ).fetchall()
    marks = {str(name): str(mark) for name, mark in rows}
    return {name: _inspect(server, name, marks.get(name)) for name in DATABASES}


def _inspect(server: DatabaseServer, database: str, mark: str | None) -> Found:
    if mark is None:
        return Found(database, Condition.ABSENT)
    if mark == SETTING_UP:
        return Found(database, Condition.HALF_MADE)
    with connect(server, database) as connection:
        tables = {
            str(row[0])
            for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        }
        if not tables:
            return Found(database, Condition.EMPTY)
        if "schema_version" not in tables:
            return Found(database, Condition.FOREIGN)
        row = connection.execute("SELECT curr_version FROM schema_version").fetchone()
    version = str(row[0]) if row else ""
    if not row or parse(version) == (0, 0):
        return Found(database, Condition.FOREIGN)
    return Found(database, Condition.HALF_UPDATED if mark == UPDATING else Condition.THERE, version)


def prepare(server: DatabaseServer, programs: TemporalPrograms) -> list[str]:
    """Set up what is not there, take up what was interrupted, leave alone what fits; answers what was done.

    An older schema is refused here: raising it belongs to an upgrade, with a backup before it.

    Raises:
        Conflict: a database holds something else, or an older or newer schema than the server's.
        Unavailable: the tool failed; its words are told.
    """
    found, done = inspect(server), list[str]()
    for each in found.values():
        refuse(each, programs.version)
    for each in found.values():
        if each.condition is Condition.HALF_UPDATED:
            done += update(server, programs, only=each.database)
        elif each.condition is not Condition.THERE:
            _set_up(server, programs, each)
            done.append(f"{each.database}: schema set up")
    return done


def refuse(each: Found, temporal_version: str) -> None:
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
    if not wanted or each.condition is not Condition.THERE or each.version == wanted:
        return
    older = parse(each.version) < parse(wanted)
    raise Conflict(
        f"The schema of {each.database} is {each.version}; Temporal {temporal_version} needs {wanted}.",
        field="--temporal-version",
        remedy="Raise it with a backup before: pavo deploy upgrade."
        if older
        else "Take the newer server it belongs to (pavo deploy versions), or restore an older backup.",
    )


def _set_up(server: DatabaseServer, programs: TemporalPrograms, each: Found) -> None:
    database, name = sql.Identifier(each.database), DATABASES[each.database]
    with connect(server, "postgres") as connection:
        if each.condition is Condition.HALF_MADE:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
        if each.condition is not Condition.EMPTY:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        _mark(connection, each.database, SETTING_UP)
        _tool(server, programs, each.database, "setup-schema", "--version", "0.0")
        _tool(server, programs, each.database, "update-schema", "--schema-name", name)
        _mark(connection, each.database, "")


def update(server: DatabaseServer, programs: TemporalPrograms, only: str | None = None) -> list[str]:
    """Raise the schemas to what these programs bring; a running older server goes on meanwhile.

    Raises:
        Unavailable: the tool failed; the databases keep their mark, and the next start or upgrade takes it up again.
    """
    done: list[str] = []
    before = inspect(server)
    for database, name in DATABASES.items():
        if only not in (None, database):
            continue
        with connect(server, "postgres") as connection:
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
    """Run `temporal-sql-tool`; the password goes by the environment, where other users do not see it."""
    environment = {
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
    done = subprocess.run(
        [str(programs.sql_tool), *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TOOL_SECONDS,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise Unavailable(
            f"temporal-sql-tool {command[0]} failed for {database}: {' '.join(said[-3:])[-600:]} "
            "What was done is kept; the same command takes it up again.",
            dependency="postgres",
        )
