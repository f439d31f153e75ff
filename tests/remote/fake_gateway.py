"""A gateway for tests of the agent program: real gRPC, scripted answers."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import grpc

from pavo.protocol import fleet_pb2 as pb
from pavo.protocol import fleet_pb2_grpc
from pavo.protocol.limits import PROGRAM
from pavo.protocol.versions import PROTOCOL

TOKEN = "a-token"
WAIT = 60.0


class OpenStream:
    """One session of the agent."""

    def __init__(self, context: Any, hello: pb.Hello, number: int) -> None:
        self.context, self.hello, self.number = context, hello, number
        self.received: list[pb.FromAgent] = []
        self.cut = asyncio.Event()
        self._one_writes = asyncio.Lock()

    async def send(self, **message: Any) -> None:
        async with self._one_writes:  # two at once break the stream
            await self.context.write(pb.ToAgent(**message))

    def of(self, kind: str) -> list[Any]:
        return [getattr(each, kind) for each in self.received if each.HasField(kind)]


class FakeGateway(fleet_pb2_grpc.FleetServicer):
    """Takes what an agent sends; what it answers is set by the test."""

    def __init__(self) -> None:
        self.streams: list[OpenStream] = []
        self.welcome = pb.Welcome(protocol=PROTOCOL, log_credit=1_000_000, ping_seconds=1, silence_seconds=30)
        self.acks_results = self.acks_logs = self.answers_pings = True
        self.goodbye: pb.Goodbye | None = None
        self.lost: set[tuple[str, int]] = set()
        self.acked: dict[tuple[str, int], int] = {}
        self.results: list[pb.Result] = []
        self.lines: dict[tuple[str, int], list[pb.LogLine]] = {}
        self.renewals: list[pb.RenewRequest] = []
        self.credentials: list[pb.CredentialRequest] = []
        self.files: list[tuple[tuple[str, int], str, str, bytes]] = []
        self.refused_files: grpc.StatusCode | None = None
        self.holds_files: asyncio.Event | None = None
        """Where it is set: files are read no further until it is."""
        self.holding = 0
        self.holds_renewals: asyncio.Event | None = None
        """Where it is set: no renewal is answered until it is."""
        self.holds_hello: asyncio.Event | None = None
        """Where it is set: no Hello is taken until it is."""
        self.password = ""
        self.boot_id = ""
        """Of the program that greeted last; others are answered nothing."""
        self.port = 0
        self._server: Any = None
        self._changed = asyncio.Event()

    async def start(self, port: int = 0, credentials: Any = None) -> "FakeGateway":
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        fleet_pb2_grpc.add_FleetServicer_to_server(self, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        await self._server.start()
        return self

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)

    async def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Wait for something to be so; it."""
        try:
            async with asyncio.timeout(WAIT):
                while not (found := condition()):
                    self._changed.clear()
                    with_limit = asyncio.ensure_future(self._changed.wait())
                    await asyncio.wait({with_limit}, timeout=0.1)
                    with_limit.cancel()
                return found
        except TimeoutError:
            raise AssertionError(f"it did not come: {what}; {[each.received[-20:] for each in self.streams]}") from None

    async def session(self, number: int = 1) -> OpenStream:
        await self.until(lambda: len(self.streams) >= number, f"session {number}")
        return self.streams[number - 1]

    async def result(self, command_id: str) -> pb.Result:
        return await self.until(
            lambda: next((each for each in self.results if each.command_id == command_id), None), command_id
        )

    async def Connect(self, request_iterator: Any, context: Any) -> None:  # noqa: N802
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {TOKEN}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Nobody knows this token.")
        if self.holds_hello is not None:
            await self.holds_hello.wait()
        hello = (await context.read()).hello
        self.boot_id = hello.boot_id
        if self.goodbye is not None:
            await context.write(pb.ToAgent(goodbye=self.goodbye))
            return
        stream = OpenStream(context, hello, len(self.streams) + 1)
        welcome = pb.Welcome()
        welcome.CopyFrom(self.welcome)
        welcome.session = stream.number
        for each in hello.running:
            key = (each.job_id, each.epoch)
            welcome.jobs.add(
                job_id=key[0], epoch=key[1], yours=key not in self.lost, acked_log_seq=self.acked.get(key, 0)
            )
        await context.write(pb.ToAgent(welcome=welcome))
        self.streams.append(stream)
        self._changed.set()
        reader = asyncio.ensure_future(self._read(stream))
        cut = asyncio.ensure_future(stream.cut.wait())
        await asyncio.wait({reader, cut}, return_when=asyncio.FIRST_COMPLETED)
        reader.cancel()
        cut.cancel()

    async def _read(self, stream: OpenStream) -> None:
        while (message := await stream.context.read()) is not grpc.aio.EOF:
            stream.received.append(message)
            await self._answer(stream, message)
            self._changed.set()

    async def _answer(self, stream: OpenStream, message: pb.FromAgent) -> None:
        match message.WhichOneof("message"):
            case "ping" if self.answers_pings:
                await stream.send(pong=pb.Pong(number=message.ping.number))
            case "result":
                self.results.append(message.result)
                if self.acks_results:
                    await stream.send(result_ack=pb.ResultAck(command_id=message.result.command_id))
            case "log" if self.acks_logs:
                key = (message.log.job_id, message.log.epoch)
                known = self.acked.get(key, 0)
                self.lines.setdefault(key, []).extend(each for each in message.log.lines if each.seq > known)
                self.acked[key] = max(known, message.log.lines[-1].seq)
                await stream.send(
                    log_ack=pb.LogAck(job_id=key[0], epoch=key[1], seq=self.acked[key], credit=self.welcome.log_credit)
                )
            case _:
                pass

    async def Renew(self, request: pb.RenewRequest, context: Any) -> pb.RenewReply:  # noqa: N802
        if request.jobs:
            await self._check(context)
        self.renewals.append(request)
        self._changed.set()
        if self.holds_renewals is not None:
            await self.holds_renewals.wait()
        return pb.RenewReply(
            jobs=[
                pb.KeptJob(job_id=each.job_id, epoch=each.epoch, yours=(each.job_id, each.epoch) not in self.lost)
                for each in request.jobs
            ]
        )

    async def PutArtifact(self, request_iterator: Any, context: Any) -> pb.ArtifactKept:  # noqa: N802
        await self._check(context)
        parts: list[pb.ArtifactPart] = []
        while (part := await context.read()) is not grpc.aio.EOF:
            parts.append(part)
            if self.holds_files is not None:
                self._changed.set()
                self.holding += 1
                await self.holds_files.wait()
        first, content = parts[0], b"".join(each.content for each in parts)
        if self.refused_files:
            await context.abort(self.refused_files, "No room.")
        assert (len(content), hashlib.sha256(content).hexdigest()) == (first.bytes, first.sha256)
        self.files.append(((first.job_id, first.epoch), first.name, first.media_type, content))
        self._changed.set()
        return pb.ArtifactKept(bytes=len(content), sha256=first.sha256)

    async def Credential(self, request: pb.CredentialRequest, context: Any) -> pb.CredentialReply:  # noqa: N802
        await self._check(context)
        self.credentials.append(request)
        lost = (request.job_id, request.epoch) in self.lost
        if lost and not request.branch.endswith(f"--epoch-{request.epoch}"):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "The attempt does not hold its job any more.")
        return pb.CredentialReply(username="x-access-token", password=self.password, push_branch=request.branch)

    async def _check(self, context: Any) -> None:
        if not self.boot_id or dict(context.invocation_metadata()).get(PROGRAM) != self.boot_id:
            told = "Another program runs as this agent, or this one has not connected since it began."
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, told)
