"""The gRPC server: its options, its certificate, and the methods of the protocol."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from pavo.config import GatewaySettings
from pavo.errors import ConfigurationError
from pavo.fleet.calls.kept_files import KeptFiles
from pavo.fleet.calls.leases_and_credentials import Calls
from pavo.fleet.sessions.streams import Context, Streams
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol import fleet_pb2_grpc
from pavo.protocol.limits import MESSAGE_OPTIONS

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 2.0
BESIDE_STREAMS: Final = 500
"""Calls beside the streams of all agents, at once."""
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    *MESSAGE_OPTIONS,
    # A peer whose machine is gone, or stands still, is noticed by HTTP/2's own pings.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class _Fleet(fleet_pb2_grpc.FleetServicer):
    """The service of `proto/pavo/fleet/v1/fleet.proto`."""

    def __init__(self, streams: Streams, calls: Calls, files: KeptFiles) -> None:
        self._streams, self._calls, self._files = streams, calls, files

    async def Connect(self, request_iterator: Any, context: Context) -> None:  # noqa: N802 - the protocol's name
        await self._streams.connect(context)

    async def Renew(self, request: pb.RenewRequest, context: Context) -> pb.RenewReply:  # noqa: N802
        return await self._calls.renew(request, context)

    async def Credential(self, request: pb.CredentialRequest, context: Context) -> pb.CredentialReply:  # noqa: N802
        return await self._calls.credential(request, context)

    async def PutArtifact(self, request_iterator: Any, context: Context) -> pb.ArtifactKept:  # noqa: N802
        return await self._files.put(context)


@asynccontextmanager
async def listening(settings: GatewaySettings, streams: Streams, calls: Calls, files: KeptFiles) -> AsyncGenerator[int]:
    """Serve agents; the port. At the end each of them is told to go to another gateway.

    Raises:
        ConfigurationError: the address cannot be listened on, or the certificate cannot be used.
    """
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=settings.agents + BESIDE_STREAMS)
    fleet_pb2_grpc.add_FleetServicer_to_server(_Fleet(streams, calls, files), server)
    port = _bind(server, settings)
    await server.start()
    logger.info("Remote agents connect to %s:%s", settings.host, port)
    try:
        yield port
    finally:
        await streams.close()
        await server.stop(STOP_SECONDS)


def _bind(server: Any, settings: GatewaySettings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    credentials = _credentials(settings)
    address = f"{host}:{settings.port}"
    try:
        if credentials is not None:
            return server.add_secure_port(address, credentials)
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigurationError(
            f"The gateway cannot listen on {address}: {error}.",
            field="PAVO_GATEWAY_PORT",
            remedy="Choose an address of this machine and a port that is free; port 0 takes any, which the log tells.",
        ) from error


def _credentials(settings: GatewaySettings) -> Any:
    if (settings.certificate is None) != (settings.key is None):
        raise ConfigurationError(
            "A certificate and its key are set together.",
            field="PAVO_GATEWAY_TLS_KEY_PATH" if settings.key is None else "PAVO_GATEWAY_TLS_CERT_PATH",
            remedy="Set both, or none.",
        )
    if settings.certificate is None or settings.key is None:
        if settings.host not in _LOOPBACK and not settings.insecure:
            raise ConfigurationError(
                f"Without a certificate the gateway does not listen on {settings.host}.",
                field="PAVO_GATEWAY_TLS_CERT_PATH",
                remedy="Set it and PAVO_GATEWAY_TLS_KEY_PATH; behind a proxy that ends TLS PAVO_GATEWAY_INSECURE=true.",
            )
        return None
    key = _read(settings.key, "PAVO_GATEWAY_TLS_KEY_PATH")
    return grpc.ssl_server_credentials([(key, _read(settings.certificate, "PAVO_GATEWAY_TLS_CERT_PATH"))])


def _read(path: Path, variable: str) -> bytes:
    try:
        found = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{variable}: {error}.", field=variable, remedy="Point it to a PEM file that this user can read."
        ) from error
    if b"-----BEGIN" not in found:
        raise ConfigurationError(f"{variable}: {path} is no PEM file.", field=variable, remedy="Point it to one.")
    return found
