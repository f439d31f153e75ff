"""The schemas of Temporal's two databases, compared with what its server asks for."""

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pavo.deploy.checks.connectivity import CONNECT_SECONDS, TemporalReached
from pavo.deploy.local.components import temporal_schema as schema
from pavo.deploy.model.compatibility import parse
from pavo.deploy.model.findings import Finding
from pavo.errors import ConfigurationError
from pavo.kit.migrate import plain_url

NAMES = {"temporal": "temporal's schema", "temporal_visibility": "visibility's schema"}
"""What each line is called, by what Temporal's documentation calls the database."""
BESIDE = "_visibility"
"""The second database is named as the first with this added, in every target and in Temporal's documentation."""


async def check_temporal_schemas(url: str | None, temporal: TemporalReached) -> list[Finding]:
    """A line for each database; one line where there is nothing to look at.

    Args:
        url: of Temporal's own database; the other one is expected beside it.
    """
    name = NAMES["temporal"]
    if not temporal.version:
        return [Finding(name, "skip", "needs Temporal")]
    if "sqlite" in temporal.persistence:
        return [Finding(name, "skip", "Temporal keeps its data in SQLite here; its server brings the schema.")]
    if url is None:
        return [Finding(name, "skip", "It was not looked at.", "Set PAVO_TEMPORAL_DATABASE_URL.")]
    try:
        return [await _of_default(plain_url(url), temporal), await _of_visibility(plain_url(url), temporal)]
    except (psycopg.Error, ConfigurationError) as error:
        remedy = "Correct PAVO_TEMPORAL_DATABASE_URL: it is Temporal's own database."
        return [Finding(name, "fail", " ".join(str(error).split()), remedy)]


async def _of_default(url: str, temporal: TemporalReached) -> Finding:
    return judge("temporal", await _version(url), temporal.version)


async def _of_visibility(url: str, temporal: TemporalReached) -> Finding:
    name = NAMES["temporal_visibility"]
    if temporal.visibility and "postgres" not in temporal.visibility:
        return Finding(name, "skip", f"Temporal keeps its visibility in {temporal.visibility}.")
    beside = f"{conninfo_to_dict(url).get('dbname', '')}{BESIDE}"
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
        there = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (beside,))
        if not await there.fetchone():
            return Finding(name, "skip", f"It was not looked at: there is no database {beside}.")
    try:
        return judge("temporal_visibility", await _version(make_conninfo(url, dbname=beside)), temporal.version)
    except psycopg.Error as error:
        remedy = f"Let the user of PAVO_TEMPORAL_DATABASE_URL read {beside}, Temporal's visibility."
        return Finding(name, "fail", " ".join(str(error).split()), remedy)


async def _version(conninfo: str) -> str:
    async with await psycopg.AsyncConnection.connect(conninfo, connect_timeout=CONNECT_SECONDS) as connection:
        row = await (await connection.execute("SELECT curr_version FROM schema_version")).fetchone()
    return str(row[0]) if row else "0.0"


def judge(database: str, found: str, temporal_version: str) -> Finding:
    """One schema: not older than the server asks for, and not further ahead than the next minor's."""
    name = NAMES[database]
    wanted = schema.expected(temporal_version).get(database)
    if not wanted:
        return Finding(name, "warn", f"{found}; what Temporal {temporal_version} asks for is not known.")
    if parse(found) < parse(wanted):
        return Finding(
            name, "fail", f"{found}, but Temporal {temporal_version} asks for {wanted}.", "pavo deploy upgrade"
        )
    newest = schema.newest(temporal_version)[database]
    if parse(found) > parse(newest):
        detail = f"{found}, but Temporal {temporal_version} asks for {wanted} and runs on none newer than {newest}."
        return Finding(name, "fail", detail, "Take the newer server it belongs to (pavo deploy versions).")
    if found != wanted:
        return Finding(name, "pass", f"{found}, raised beyond the {wanted} of Temporal {temporal_version}")
    return Finding(name, "pass", f"{found}, as Temporal {temporal_version} asks for")
