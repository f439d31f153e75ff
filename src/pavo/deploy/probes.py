"""Whether a store answers."""

import asyncio
import contextlib
from datetime import timedelta

import psycopg
from google.protobuf.duration_pb2 import Duration
from redis.asyncio import Redis
from redis.exceptions import RedisError
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

RPC_TIMEOUT = timedelta(seconds=2)


async def postgres_answers(url: str) -> bool:
    """A login and a query: a stale pid file or an open port says nothing."""
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2) as connection:
            await connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


async def redis_answers(url: str) -> bool:
    """PING."""
    redis = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)
    try:
        return bool(await redis.ping())  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
    except (RedisError, OSError):
        return False
    finally:
        await redis.aclose()


async def temporal_answers(address: str) -> bool:
    """The frontend's health check, and the default namespace is there."""
    if not await port_answers(address):
        return False
    try:
        client = await asyncio.wait_for(Client.connect(address), 2)
        if not await client.service_client.check_health(timeout=RPC_TIMEOUT):
            return False
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace="default"), timeout=RPC_TIMEOUT
        )
    except (RuntimeError, RPCError, TimeoutError):
        return False
    return True


async def port_answers(address: str) -> bool:
    """Whether something listens."""
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def raise_retention(address: str, retention: timedelta) -> None:
    """Keep closed workflows for longer; doing it again changes nothing."""
    client = await Client.connect(address)
    config = NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=int(retention.total_seconds())))
    await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace="default", config=config))
