"""A scripted remote agent: it speaks the protocol, and does nothing of itself but answer greetings."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import grpc

from pavo.protocol import fleet_pb2 as pb
from pavo.protocol import fleet_pb2_grpc
from pavo.protocol.limits import PROGRAM
from pavo.protocol.versions import PROTOCOL

PATIENCE = 20.0
OPTIONS = (
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
)

_EOF = cast(Any, grpc.aio).EOF


class FakeAgent:
    """One connection to one gateway, and one stream at most.

    Args:
        address: host:port.
        ca: PEM of the authority; None: without TLS.
    """

    def __init__(self, address: str, token: str, name: str = "builder", *, ca: bytes | None = None) -> None:
        self.name, self.machine_id, self.boot_id = name, f"machine-{name}", uuid.uuid4().hex
        self.metadata = (("authorization", f"Bearer {token}"), (PROGRAM, self.boot_id))
        self.channel = (
            grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca), OPTIONS)
            if ca is not None
            else grpc.aio.insecure_channel(address, OPTIONS)
        )
        self.stub: Any = fleet_pb2_grpc.FleetStub(self.channel)
        self.received: list[pb.ToAgent] = []
        self.answers_pings = True
        self.session = 0
        self._stream: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._writing = asyncio.Lock()
        self.ended: str | None = None
        """How the stream ended."""

    def hello(self, **more: Any) -> pb.Hello:
        """What it says first; `more` replaces members."""
        given: dict[str, Any] = {
            "protocol": PROTOCOL,
            "version": "1.0-test",
            "agent": self.name,
            "machine_id": self.machine_id,
            "boot_id": self.boot_id,
            "capabilities": pb.Capabilities(labels=["linux"], programs=["command"], capacity=2, sandbox="none"),
        }
        return pb.Hello(**(given | more))

    async def open(self, *first: pb.FromAgent) -> None:
        """Open the stream and write these."""
        self.received, self.ended = [], None
        self._stream = self.stub.Connect(metadata=self.metadata)
        self._reading = asyncio.create_task(self._read())
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):  # refused before it is written
            for message in first:
                await self.send(message)

    async def connect(self, **hello: Any) -> pb.Welcome:
        """Open a session; the Welcome."""
        await self.open(pb.FromAgent(hello=self.hello(**hello)))
        found = await self.until(lambda: self.of("welcome") or self.of("goodbye") or self.ended)
        assert self.of("welcome"), found
        welcome: pb.Welcome = self.of("welcome")[0]
        self.session = welcome.session
        return welcome

    async def refused(self, **hello: Any) -> pb.Goodbye:
        """Try to open a session that is not to be; the Goodbye."""
        await self.open(pb.FromAgent(hello=self.hello(**hello)))
        return await self.goodbye()

    async def goodbye(self, seconds: float = PATIENCE) -> pb.Goodbye:
        """Wait until the gateway says it, and ends the stream."""
        await self.until(lambda: self.ended, seconds=seconds)
        found = self.of("goodbye")
        assert found, (self.ended, self.received[-3:])
        return found[-1]

    async def send(self, message: pb.FromAgent) -> None:
        """Write a message."""
        async with self._writing:
            await self._stream.write(message)

    async def command(self, command_id: str | None = None, seconds: float = PATIENCE) -> pb.Command:
        """Wait for a command."""

        def found() -> list[pb.Command]:
            return [each for each in self.of("command") if command_id in (None, each.id)]

        return (await self.until(found, seconds=seconds))[-1]

    async def accept(self, command: pb.Command) -> None:
        """It is in the journal."""
        await self.send(pb.FromAgent(accepted=pb.Accepted(command_id=command.id)))

    async def work(self, command: pb.Command, stage: str = "") -> None:
        """It works at it."""
        told = pb.Working(command_id=command.id, job_id=command.job_id, epoch=command.epoch, stage=stage)
        await self.send(pb.FromAgent(working=told))

    async def answer(self, command: pb.Command, **outcome: Any) -> None:
        """The result, and wait until it is acknowledged."""
        await self.send(pb.FromAgent(result=result_of(command, **outcome)))
        await self.until(lambda: [each for each in self.of("result_ack") if each.command_id == command.id])

    async def log(self, job: str, epoch: int, first: int, texts: list[str]) -> pb.LogChunk:
        """Lines of a log, numbered on from the first."""
        chunk = chunk_of(job, epoch, first, texts)
        await self.send(pb.FromAgent(log=chunk))
        return chunk

    async def logged(self, job: str, epoch: int, seq: int, seconds: float = PATIENCE) -> None:
        """Wait until lines up to this one are acknowledged."""
        await self.until(lambda: self.acked(job, epoch) >= seq, seconds=seconds)

    def acked(self, job: str, epoch: int) -> int:
        """The last line that is."""
        return max((each.seq for each in self.of("log_ack") if (each.job_id, each.epoch) == (job, epoch)), default=0)

    def of(self, kind: str) -> list[Any]:
        """The messages of a kind that came."""
        return [getattr(each, kind) for each in list(self.received) if each.WhichOneof("message") == kind]

    async def until(self, ask: Callable[[], Any], *, seconds: float = PATIENCE) -> Any:
        """Wait until what came makes it true."""
        begun = time.monotonic()
        async with self._changed:
            while not (answer := ask()):
                left = seconds - (time.monotonic() - begun)
                assert left > 0, (f"not within {seconds} s", self.ended, self.received[-5:])
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, 0.5)):
                        await self._changed.wait()
        return answer

    async def close(self) -> None:
        """Cut the stream without a word."""
        if self._stream is not None:
            self._stream.cancel()
        if self._reading is not None:
            await asyncio.wait((self._reading,))

    async def leave(self) -> None:
        """Close everything."""
        await self.close()
        await self.channel.close()

    async def _read(self) -> None:
        try:
            while (message := await self._stream.read()) is not _EOF:
                await self._take(message)
            self.ended = f"{await self._stream.code()} {await self._stream.details()}"
        except grpc.aio.AioRpcError as error:
            self.ended = f"{error.code()} {error.details()}"
        except asyncio.CancelledError:
            self.ended = "cancelled"
        async with self._changed:
            self._changed.notify_all()

    async def _take(self, message: pb.ToAgent) -> None:
        if message.WhichOneof("message") == "ping" and self.answers_pings:
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
                await self.send(pb.FromAgent(pong=pb.Pong(number=message.ping.number)))
        async with self._changed:
            self.received.append(message)
            self._changed.notify_all()


@contextlib.asynccontextmanager
async def agent(address: str, token: str, name: str = "builder", **more: Any) -> AsyncGenerator[FakeAgent]:
    """A scripted agent, not connected yet."""
    found = FakeAgent(address, token, name, **more)
    try:
        yield found
    finally:
        await found.leave()


def result_of(command: pb.Command, **outcome: Any) -> pb.Result:
    """A result of this command."""
    return pb.Result(command_id=command.id, job_id=command.job_id, epoch=command.epoch, seconds=0.1, **outcome)


def chunk_of(job: str, epoch: int, first: int, texts: list[str]) -> pb.LogChunk:
    """Lines of a log, numbered on from the first."""
    lines = [
        pb.LogLine(
            seq=first + index, at_ms=1_800_000_000_000, stage="EXECUTING", level="info", source="program", text=text
        )
        for index, text in enumerate(texts)
    ]
    return pb.LogChunk(job_id=job, epoch=epoch, lines=lines)
