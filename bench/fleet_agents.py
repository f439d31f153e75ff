"""Agents without a program, for measuring gateways: they greet, send log lines, and answer commands at once."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final, cast

import grpc

from pavo.protocol import fleet_pb2 as pb
from pavo.protocol import fleet_pb2_grpc
from pavo.protocol.versions import PROTOCOL

_OPTIONS: Final = (("grpc.keepalive_time_ms", 10_000), ("grpc.use_local_subchannel_pool", 1))
_EOF: Final = cast(Any, grpc.aio).EOF
_ANSWERS: Final = {
    "start_execution": {"executed": pb.Executed(changed=False)},
    "cleanup": {"cleaned": pb.Cleaned()},
}
"""By command; without a difference there is nothing to verify or publish."""
CONNECT_SECONDS: Final = 30.0


class BenchAgent:
    """One stream on a connection of its own."""

    def __init__(self, address: str, token: str, name: str) -> None:
        self.name = name
        self.channel = grpc.aio.insecure_channel(address, _OPTIONS)
        self._token = token
        self._stream: Any = None
        self._writing, self._changed = asyncio.Lock(), asyncio.Event()
        self._welcome: asyncio.Future[pb.Welcome] = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Task[None] | None = None
        self.credit = 0
        self.acked = 0
        self.unacked: dict[int, int] = {}
        """Bytes of chunks that are under way, by their last line."""
        self.commands: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        """Kinds of commands, with the moment at which each was here."""
        self.ended = False

    async def connect(self) -> None:
        """Open its session.

        Raises:
            TimeoutError: the gateway does not welcome it.
        """
        capabilities = pb.Capabilities(programs=["command"], capacity=1, sandbox="none")
        hello = pb.Hello(
            protocol=PROTOCOL,
            version="bench",
            agent=self.name,
            machine_id=self.name,
            boot_id=uuid.uuid4().hex,
            capabilities=capabilities,
        )
        async with asyncio.timeout(CONNECT_SECONDS):
            stub = cast(Any, fleet_pb2_grpc.FleetStub(self.channel))
            self._stream = stub.Connect(metadata=(("authorization", f"Bearer {self._token}"),))
            await self._send(pb.FromAgent(hello=hello))
            self._reading = asyncio.create_task(self._read())
            self.credit = (await self._welcome).log_credit

    async def log(self, job: str, lines: Sequence[pb.LogLine]) -> None:
        """Send a chunk of the first attempt's log, as soon as the credit allows it."""
        message = pb.FromAgent(log=pb.LogChunk(job_id=job, epoch=1, lines=lines))
        size = message.log.ByteSize()
        while sum(self.unacked.values()) + size > self.credit:
            await self._more()
        self.unacked[lines[-1].seq] = size
        await self._send(message)

    async def all_acked(self) -> None:
        """Until the gateway has acknowledged all that was sent."""
        while self.unacked:
            await self._more()

    async def close(self) -> None:
        """End the stream and the connection."""
        if self._stream is not None:
            self._stream.cancel()
        if self._reading is not None:
            await asyncio.wait({self._reading})
        await self.channel.close()

    async def _more(self) -> None:
        if self.ended:
            raise ConnectionError(f"the stream of {self.name} has ended")
        self._changed.clear()
        await self._changed.wait()

    async def _send(self, message: pb.FromAgent) -> None:
        async with self._writing:
            await self._stream.write(message)

    async def _read(self) -> None:
        try:
            while (message := await self._stream.read()) is not _EOF:
                await self._take(message)
        except (grpc.aio.AioRpcError, asyncio.CancelledError, asyncio.InvalidStateError):  # it was ended
            pass
        self.ended = True
        self._changed.set()

    async def _take(self, message: pb.ToAgent) -> None:
        match message.WhichOneof("message"):
            case "welcome":
                self._welcome.set_result(message.welcome)
            case "ping":
                await self._send(pb.FromAgent(pong=pb.Pong(number=message.ping.number)))
            case "log_ack":
                self.acked = max(self.acked, message.log_ack.seq)
                self.unacked = {last: size for last, size in self.unacked.items() if last > self.acked}
                self._changed.set()
            case "command":
                await self._carry_out(message.command)
            case _:
                pass

    async def _carry_out(self, command: pb.Command) -> None:
        kind = command.WhichOneof("body") or ""
        self.commands.put_nowait((kind, time.perf_counter()))
        await self._send(pb.FromAgent(accepted=pb.Accepted(command_id=command.id)))
        told = {"command_id": command.id, "job_id": command.job_id, "epoch": command.epoch}
        await self._send(pb.FromAgent(result=pb.Result(**told, **cast(Any, _ANSWERS[kind]))))
