"""Whether a store answers."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import timedelta

import psycopg
from google.protobuf.duration_pb2 import Duration
from redis.asyncio import Redis
from redis.exceptions import RedisError
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    ListOpenWorkflowExecutionsRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client, TLSConfig
from temporalio.service import RPCError, RPCStatusCode

RPC_TIMEOUT = timedelta(seconds=2)


async def postgres_answers(url: str) -> bool:
    """A login and a query: a stale pid file or an open port says nothing.

    Raises:
        PermissionError: the server is there and refuses the password.
    """
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2) as connection:
            await connection.execute("SELECT 1")
    except psycopg.Error as error:
        if "password authentication failed" in str(error):
            raise PermissionError("The password is wrong.") from error
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
        with contextlib.suppress(RedisError, OSError):  # closing has its second too, which a busy machine may take
            await redis.aclose()


async def temporal_answers(address: str, namespace: str | None = "default", tls: TLSConfig | None = None) -> bool:
    """The frontend's health check, and the namespace is there if one is asked for."""
    if not await port_answers(address):
        return False
    try:
        async with asyncio.timeout(2):
            client = await Client.connect(address, tls=tls or False)
        if not await client.service_client.check_health(timeout=RPC_TIMEOUT):
            return False
        if namespace:
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=namespace), timeout=RPC_TIMEOUT
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


async def register_namespace(address: str, namespace: str, retention: timedelta, tls: TLSConfig | None = None) -> None:
    """Make the namespace, or give an existing one this retention; returns when clients see it."""
    client = await Client.connect(address, tls=tls or False)
    service = client.workflow_service
    ttl = Duration(seconds=int(retention.total_seconds()))
    try:
        await service.register_namespace(
            RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=ttl)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
        config = NamespaceConfig(workflow_execution_retention_ttl=ttl)
        await service.update_namespace(UpdateNamespaceRequest(namespace=namespace, config=config))
    while True:  # the server's caches learn of it some seconds later, and until then no workflow can be started
        try:
            await service.list_open_workflow_executions(
                ListOpenWorkflowExecutionsRequest(namespace=namespace, maximum_page_size=1), timeout=RPC_TIMEOUT
            )
            return
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            await asyncio.sleep(0.1)


async def register_search_attributes(
    address: str, namespace: str, names: Mapping[str, str], tls: TLSConfig | None = None
) -> None:
    """Register what is missing; returns when a search for them is understood.

    Args:
        names: each attribute's type, in Temporal's words: Keyword, Text, Int, …
    """
    client = await Client.connect(address, namespace=namespace, tls=tls or False)
    service = client.operator_service
    listed = await service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    missing = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
        for name, kind in names.items()
        if name not in listed.custom_attributes
    }
    if missing:
        await service.add_search_attributes(AddSearchAttributesRequest(namespace=namespace, search_attributes=missing))
    query = " AND ".join(f"{name} IS NULL" for name in names)
    while True:  # as with the namespace, the server's caches learn of them some seconds later
        try:
            await client.count_workflows(query, rpc_timeout=RPC_TIMEOUT)
            return
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            await asyncio.sleep(0.1)
