"""Whether each service that Pavo needs can be reached with the settings, and what it says of itself."""

import asyncio
import time
from dataclasses import dataclass

import psycopg
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetClusterInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from pavo.config import TemporalSettings
from pavo.deploy.local.components.probes import RPC_TIMEOUT
from pavo.deploy.model.findings import Finding
from pavo.errors import ConfigurationError, Unavailable
from pavo.kit.migrate import plain_url
from pavo.temporal.client import connect

CONNECT_SECONDS = 5
SERVER_TOO_OLD = 140000
"""`server_version_num` of the oldest PostgreSQL that Pavo's statements are good for."""


@dataclass(frozen=True, slots=True)
class TemporalReached:
    """A connection to Temporal, if there is one, and what the server says of itself."""

    finding: Finding
    client: Client | None = None
    version: str = ""
    persistence: str = ""
    """The kind of its store: sqlite, postgres12, …; empty where it does not say."""
    visibility: str = ""
    """The kind of store by which workflows are found: the same, or elasticsearch."""


@dataclass(frozen=True, slots=True)
class PostgresReached:
    """What PostgreSQL says of itself."""

    finding: Finding
    version: str = ""
    """For example 18.6; empty when it cannot be reached."""
    clock_offset: float | None = None
    """How many seconds its clock is ahead of this machine's."""


async def reach_temporal(settings: TemporalSettings) -> TemporalReached:
    """Connect, and look for the namespace."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            client = await connect(settings)
    except ConfigurationError as error:
        return TemporalReached(Finding("temporal", "fail", error.detail, error.remedy))
    except (Unavailable, TimeoutError) as error:
        detail = error.detail if isinstance(error, Unavailable) else f"No answer within {CONNECT_SECONDS} s."
        remedy = "Start Temporal, or correct TEMPORAL_ADDRESS (and TEMPORAL_TLS, its certificates, TEMPORAL_API_KEY)."
        return TemporalReached(Finding("temporal", "fail", detail, remedy))
    version = persistence = visibility = ""
    try:
        info = await client.workflow_service.get_cluster_info(GetClusterInfoRequest(), timeout=RPC_TIMEOUT)
        version, persistence, visibility = info.server_version, info.persistence_store, info.visibility_store
        described = DescribeNamespaceRequest(namespace=client.namespace)
        await client.workflow_service.describe_namespace(described, timeout=RPC_TIMEOUT)
    except RPCError as error:
        return TemporalReached(_refused(error, client.namespace), None, version, persistence, visibility)
    detail = (
        f"{version or 'version unknown'}, namespace {client.namespace}, at {client.service_client.config.target_host}"
    )
    finding = Finding("temporal", "pass", detail, seconds=time.monotonic() - begun)
    return TemporalReached(finding, client, version, persistence, visibility)


def _refused(error: RPCError, namespace: str) -> Finding:
    remedies = {
        RPCStatusCode.NOT_FOUND: f"Create it: temporal operator namespace create -n {namespace} --retention 30d; "
        "or correct TEMPORAL_NAMESPACE.",
        RPCStatusCode.UNAUTHENTICATED: "Set TEMPORAL_API_KEY, or the client certificate.",
        RPCStatusCode.PERMISSION_DENIED: "Use an API key or certificate that may use this namespace.",
    }
    remedy = remedies.get(error.status, "Look at Temporal's log: pavo logs temporal")
    return Finding("temporal", "fail", f"Namespace {namespace}: {error.message}", remedy)


async def reach_postgres(url: str) -> PostgresReached:
    """Log in, and ask for version and time."""
    begun = time.monotonic()
    try:
        async with await psycopg.AsyncConnection.connect(plain_url(url), connect_timeout=CONNECT_SECONDS) as connection:
            sent = time.time()
            cursor = await connection.execute(
                "SELECT extract(epoch FROM clock_timestamp())::float8, current_setting('server_version_num')::int,"
                " current_setting('server_version')"
            )
            row = await cursor.fetchone()
            assert row is not None
            offset = float(row[0]) - (sent + time.time()) / 2
    except ConfigurationError as error:
        return PostgresReached(Finding("postgres", "fail", error.detail, error.remedy))
    except (psycopg.Error, OSError) as error:
        remedy = "Start PostgreSQL, or correct DATABASE_URL: host, port, user, password, database."
        return PostgresReached(Finding("postgres", "fail", _one_line(error), remedy))
    number, version = int(row[1]), str(row[2]).split(" ", 1)[0]
    if number < SERVER_TOO_OLD:
        return PostgresReached(
            Finding("postgres", "fail", f"{version} is too old.", "Upgrade to PostgreSQL 14 or later."), version, offset
        )
    finding = Finding("postgres", "pass", version, seconds=time.monotonic() - begun)
    return PostgresReached(finding, version, offset)


async def reach_redis(url: str) -> Finding:
    """PING, and the version."""
    begun = time.monotonic()
    try:
        redis = Redis.from_url(url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS)
    except ValueError as error:
        return Finding("redis", "fail", _one_line(error), "Correct REDIS_URL: redis://:password@host:6379/0")
    try:
        info: dict[str, object] = await redis.info("server")
    except (AuthenticationError, ResponseError) as error:
        return Finding("redis", "fail", _one_line(error), "Correct the user and password in REDIS_URL.")
    except (RedisError, OSError) as error:
        return Finding("redis", "fail", _one_line(error), "Start Redis or Valkey, or correct REDIS_URL.")
    finally:
        await redis.aclose()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version")
    return Finding("redis", "pass", f"{name} {version}", seconds=time.monotonic() - begun)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
