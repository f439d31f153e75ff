"""The connection to a gateway: what the agent needs of it, and the one over gRPC."""

import asyncio
import os
import ssl
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import grpc

from pavo.protocol import fleet_pb2 as pb
from pavo.protocol import fleet_pb2_grpc
from pavo.protocol.limits import MESSAGE_OPTIONS, PROGRAM
from pavo.remote.diagnosis import NotConnected, explained
from pavo.remote.settings import GatewayAddress

CALL_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 15.0
FILE_PART_BYTES: Final = 256_000
FILE_SECONDS: Final = 300.0
_OPTIONS: Final = (
    *MESSAGE_OPTIONS,
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel has a new connection, also while calls hold the former one
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that a gateway is to keep. What it has is announced: a gateway keeps no part of it."""

    path: Path
    name: str
    media_type: str
    bytes: int
    sha256: str
    """In hex."""


class Stream(Protocol):
    """One session's. One task writes, one reads."""

    async def write(self, message: pb.FromAgent) -> None:
        """Send a message; waits while the gateway takes none.

        Raises:
            NotConnected: the stream has ended.
        """
        ...

    async def read(self) -> pb.ToAgent | None:
        """The next message; None: the stream has ended.

        Raises:
            NotConnected: it broke.
        """
        ...


class Gateway(Protocol):
    """What the agent asks of a gateway. All raise NotConnected; Refused, where trying again is useless."""

    boot_id: str
    """Of this program: whatever it asks says so."""

    def stream(self) -> Any:
        """An asynchronous context manager of a `Stream`."""
        ...

    async def renew(self, request: pb.RenewRequest) -> pb.RenewReply:
        """Prolong the leases of jobs."""
        ...

    async def credential(self, request: pb.CredentialRequest) -> pb.CredentialReply:
        """What git or a forge is shown."""
        ...

    async def put_file(self, attempt: tuple[str, int], file: SentFile) -> pb.ArtifactKept:
        """Have a file of an attempt kept."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


@dataclass(slots=True)
class _Channel:
    """One of gRPC's; closing it cuts the calls that use it."""

    opened: Any
    users: int = 0
    """Streams and calls under way."""


class GrpcGateway:
    """By gRPC; the channel is made anew for each stream, so that names are resolved and proxies are read again. Calls
    that are under way then are answered on the former one. Belongs to one event loop.

    Args:
        ca: PEM of the authority that alone is trusted; None: those of this system.
    """

    def __init__(self, address: GatewayAddress, token: str, ca: bytes | None) -> None:
        self._address, self._ca = address, ca
        self.boot_id = str(uuid.uuid4())
        self._metadata = (("authorization", f"Bearer {token}"), (PROGRAM, self.boot_id))
        self._channel: _Channel | None = None
        self._welcomed = asyncio.Event()

    @asynccontextmanager
    async def stream(self) -> "AsyncGenerator[_GrpcStream]":
        """A session's stream."""
        former, self._channel = self._channel, None
        if former is not None and not former.users:
            await former.opened.close()
        async with self._stub() as stub:
            call: Any = stub.Connect(metadata=self._metadata, wait_for_ready=False)
            try:
                yield _GrpcStream(call, self._address.target, self._welcomed)
            finally:
                call.cancel()

    async def renew(self, request: pb.RenewRequest) -> pb.RenewReply:
        """Prolong the leases of jobs."""
        return await self._call("Renew", request)

    async def credential(self, request: pb.CredentialRequest) -> pb.CredentialReply:
        """What git or a forge is shown; waits until this program was welcomed."""
        await self._welcome()
        return await self._call("Credential", request)

    async def put_file(self, attempt: tuple[str, int], file: SentFile) -> pb.ArtifactKept:
        """Have a file of an attempt kept; waits until this program was welcomed."""

        async def parts() -> AsyncIterator[pb.ArtifactPart]:
            first = pb.ArtifactPart(job_id=attempt[0], epoch=attempt[1], name=file.name, media_type=file.media_type)
            first.bytes, first.sha256 = file.bytes, file.sha256
            with await asyncio.to_thread(file.path.open, "rb") as opened:
                first.content = await asyncio.to_thread(opened.read, FILE_PART_BYTES)
                yield first
                while content := await asyncio.to_thread(opened.read, FILE_PART_BYTES):
                    yield pb.ArtifactPart(content=content)

        await self._welcome()
        async with self._stub() as stub:
            try:
                return await stub.PutArtifact(parts(), metadata=self._metadata, timeout=FILE_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise explained(error, self._address.target) from error

    async def close(self) -> None:
        """End the connection."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.opened.close()

    async def _welcome(self) -> None:
        """Wait for the first one: a gateway takes whoever has not greeted yet for a stranger, whose jobs another life
        of this program, or another program, has.

        Raises:
            NotConnected: none comes.
        """
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._welcomed.wait()
        except TimeoutError:
            raise NotConnected(
                f"No gateway has welcomed this program since it began ({self._address.target}).",
                "Look whether the gateway runs; it is tried again.",
            ) from None

    async def _call(self, name: str, request: Any) -> Any:
        async with self._stub() as stub:
            try:
                return await getattr(stub, name)(request, metadata=self._metadata, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise explained(error, self._address.target) from error

    @asynccontextmanager
    async def _stub(self) -> AsyncGenerator[Any]:
        """On the newest channel, which is not closed meanwhile; who leaves a former one last closes it."""
        if self._channel is None:
            self._channel = _Channel(self._new_channel())
        used = self._channel
        used.users += 1
        try:
            yield fleet_pb2_grpc.FleetStub(used.opened)
        finally:
            used.users -= 1
            if used is not self._channel and not used.users:
                await used.opened.close()

    def _new_channel(self) -> Any:
        if not self._address.secure:
            return grpc.aio.insecure_channel(self._address.target, options=_OPTIONS)
        credentials = grpc.ssl_channel_credentials(root_certificates=self._ca or _systems_authorities())
        return grpc.aio.secure_channel(self._address.target, credentials, options=_OPTIONS)


class _GrpcStream:
    """The messages of one call."""

    def __init__(self, call: Any, target: str, welcomed: asyncio.Event) -> None:
        self._call, self._target, self._welcomed = call, target, welcomed

    async def write(self, message: pb.FromAgent) -> None:
        """Send a message."""
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as error:
            raise explained(error, self._target) from error
        except asyncio.InvalidStateError as error:  # the call was ended meanwhile
            raise await self._ended() from error

    async def read(self) -> pb.ToAgent | None:
        """The next message."""
        try:
            found = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise explained(error, self._target) from error
        if found is grpc.aio.EOF:  # pyright: ignore[reportAttributeAccessIssue]
            return None
        if found.HasField("welcome"):
            self._welcomed.set()
        return found

    async def _ended(self) -> Exception:
        code, details = await self._call.code(), await self._call.details()
        metadata = grpc.aio.Metadata()
        return explained(grpc.aio.AioRpcError(code, metadata, metadata, details), self._target)


def _systems_authorities() -> bytes | None:
    """Those of this system, which a company adds its own to; None: gRPC's."""
    found = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    try:
        return Path(found).read_bytes() if found else None
    except OSError:
        return None
