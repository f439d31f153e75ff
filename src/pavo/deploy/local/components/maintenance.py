"""Connections to PostgreSQL for maintenance (schemas, backups), and what it says when it refuses."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from pavo.deploy.local.components.database import DatabaseServer
from pavo.errors import ConfigurationError, Unavailable


@contextmanager
def maintenance_refusals() -> Generator[None]:
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


def maintenance_connection(server: DatabaseServer, database: str) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection of its own, on which each statement is committed by itself.

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
                f"PostgreSQL at {server.address} refuses the login: {said[-200:]}",
                field="--postgres",
                remedy="Look at the user, the password (in the URL, or in PGPASSWORD) and the database's name.",
            ) from error
        raise Unavailable(
            f"PostgreSQL at {server.address} does not answer: {said[-200:]}", dependency="postgres"
        ) from error
