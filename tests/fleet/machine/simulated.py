"""A remote agent of the tests' own, which speaks the real protocol: it has a journal, a spool, and dies on demand."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import grpc

from pavo.jobs.domain import LEASE_SECONDS
from pavo.protocol import fleet_pb2 as pb
from tests.faults.proxy import Link, Mode
from tests.fleet.fake_agent import FakeAgent, result_of

RENEW_SECONDS = 4.0
Attempt = tuple[str, int]
"""Job and epoch."""
BROKEN = (grpc.RpcError, asyncio.InvalidStateError, AssertionError)
"""How a stream that is broken shows itself."""


class Wire(FakeAgent):
    """One connection; what comes is handed on."""

    on_message: Callable[[pb.ToAgent], Awaitable[None]]

    async def _take(self, message: pb.ToAgent) -> None:
        with contextlib.suppress(*BROKEN):
            await self.on_message(message)
        await super()._take(message)


@dataclass
class Spool:
    """The lines of one attempt, numbered from 1; some were dropped, as by a full disk."""

    made: int = 0
    acked: int = 0
    dropped: set[int] = field(default_factory=set[int])

    @property
    def told(self) -> dict[int, int]:
        """The numbers of the lines that are to be stored, and how many before each are missing."""
        found: dict[int, int] = {}
        gap = 0
        for seq in range(1, self.made + 1):
            if seq in self.dropped:
                gap += 1
            else:
                found[seq], gap = gap, 0
        return found


class SimulatedAgent:
    """Belongs to one event loop; its journal and its spool outlive its connections.

    Args:
        now: the time of PostgreSQL, in seconds.
    """

    def __init__(self, name: str, token: str, capacity: int, now: Callable[[], Awaitable[float]]) -> None:
        self.name, self.token, self.capacity, self._now = name, token, capacity, now
        self.journal: dict[str, pb.Result | None] = {}
        """By command: its result, once there is one."""
        self.commands: dict[str, pb.Command] = {}
        self.begun: Counter[str] = Counter()
        self.unacknowledged: set[str] = set()
        self.spools: dict[Attempt, Spool] = {}
        self.running: set[Attempt] = set()
        self.leased_until: dict[Attempt, float] = {}
        """As it was told."""
        self.automatic = False
        """Whether it finishes what it is told at once."""
        self.wire: Wire | None = None
        self.link: Link | None = None
        self._asked_at = 0.0
        self._renewing: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        return (
            self.wire is not None and self.wire.ended is None and self.link is not None and self.link.mode is Mode.PASS
        )

    @property
    def unfinished(self) -> list[pb.Command]:
        return [self.commands[each] for each, result in self.journal.items() if result is None]

    # Connections

    async def connect(self, port: int) -> bool:
        """Have a session at this gateway; whether it has one."""
        await self.disconnect()
        self.link = Link(port)
        await self.link.start()
        self.wire = Wire(f"127.0.0.1:{self.link.port}", self.token, self.name)
        self.wire.on_message = self._take
        self._asked_at = await self._now()
        capabilities = pb.Capabilities(labels=["linux"], programs=["command"], capacity=self.capacity)
        running = [pb.RunningJob(job_id=job, epoch=epoch) for job, epoch in sorted(self.spools)]
        try:
            await self.wire.connect(capabilities=capabilities, running=running)
        except BROKEN:
            return False
        self._renewing = asyncio.create_task(self._keep_renewing())
        return True

    async def disconnect(self) -> None:
        """Without a word."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait((self._renewing,))
        if self.wire is not None:
            await self.wire.leave()
        if self.link is not None:
            await self.link.close()
        self.wire = self.link = self._renewing = None

    async def die(self) -> None:
        """Its program is killed: what it had begun has failed, as it will say when it comes back."""
        await self.disconnect()
        for command in self.unfinished:
            failure = pb.Failure(type="AgentRestarted", cause="It was killed.", remedy="Wait.", retryable=True)
            self._finished(result_of(command, failure=failure))

    async def renew(self) -> None:
        """Prolong the leases of what it has."""
        wire, asked_at = self.wire, await self._now()
        if wire is None or not self.running:
            return
        jobs = [pb.RunningJob(job_id=job, epoch=epoch) for job, epoch in sorted(self.running)]
        request = pb.RenewRequest(agent=self.name, session=wire.session, jobs=jobs)
        with contextlib.suppress(grpc.RpcError):
            reply = await wire.stub.Renew(request, metadata=wire.metadata, timeout=5)
            await self._told(reply.jobs, asked_at)

    async def _keep_renewing(self) -> None:
        while True:
            await self.renew()
            await asyncio.sleep(RENEW_SECONDS)

    # What it does

    async def finish(self, command: pb.Command) -> None:
        """Whatever it was told is done."""
        if command.HasField("create_pull_request"):
            branch = command.create_pull_request.branch
            result = result_of(command, published=pb.Published(commit="c0ffee", branch=branch))
        elif command.HasField("cleanup"):
            self.running.discard((command.job_id, command.epoch))
            self.leased_until.pop((command.job_id, command.epoch), None)
            result = result_of(command, cleaned=pb.Cleaned(freed_bytes=1))
        else:
            result = result_of(command, executed=pb.Executed(changed=True, commit="c0ffee"))
        self._finished(result)
        await self._send(pb.FromAgent(result=result))

    async def log(self, attempt: Attempt, lines: int, lost: int = 0) -> None:
        """Make lines, of which so many are lost before the last."""
        spool = self.spools[attempt]
        spool.dropped |= set(range(spool.made + lines, spool.made + lines + lost))
        spool.made += lines + lost
        await self._send_lines(attempt)

    async def resend(self) -> None:
        """What was not acknowledged."""
        for command_id in sorted(self.unacknowledged):
            await self._send(pb.FromAgent(result=self.journal[command_id]))
        for attempt in sorted(self.spools):
            await self._send_lines(attempt)

    @property
    def owes_nothing(self) -> bool:
        """Whether the gateway has everything."""
        return not self.unacknowledged and all(each.acked >= each.made for each in self.spools.values())

    async def _take(self, message: pb.ToAgent) -> None:
        match message.WhichOneof("message"):
            case "welcome":
                for kept in message.welcome.jobs:
                    spool = self.spools[kept.job_id, kept.epoch]
                    spool.acked = max(spool.acked, kept.acked_log_seq)
                await self._told(message.welcome.jobs, self._asked_at)
                await self.resend()
                for debt in message.welcome.debts:
                    command = pb.Command(id=str(uuid.uuid4()), job_id=debt.job_id, epoch=debt.epoch, cleanup=debt)
                    await self._command(command)
            case "command":
                await self._command(message.command)
            case "cancel":
                await self._end((message.cancel.job_id, message.cancel.epoch))
            case "result_ack":
                self.unacknowledged.discard(message.result_ack.command_id)
            case "log_ack":
                spool = self.spools[message.log_ack.job_id, message.log_ack.epoch]
                spool.acked = max(spool.acked, message.log_ack.seq)
            case _:
                pass

    async def _command(self, command: pb.Command) -> None:
        attempt = command.job_id, command.epoch
        if command.id not in self.journal:
            self.journal[command.id], self.commands[command.id] = None, command
            self.begun[command.id] += 1
            if not command.HasField("cleanup"):
                self.running.add(attempt)
            self.spools.setdefault(attempt, Spool())
        await self._send(pb.FromAgent(accepted=pb.Accepted(command_id=command.id)))
        if (result := self.journal[command.id]) is not None:
            await self._send(pb.FromAgent(result=result))
        elif self.automatic or not command.HasField("start_execution"):
            await self.finish(command)
        else:
            told = pb.Working(command_id=command.id, job_id=attempt[0], epoch=attempt[1], stage="EXECUTING")
            await self._send(pb.FromAgent(working=told))
            await self.log(attempt, 2)

    async def _end(self, attempt: Attempt) -> None:
        """What it does for an attempt."""
        for command in self.unfinished:
            if (command.job_id, command.epoch) == attempt:
                result = result_of(command, cancelled=pb.Cancelled(killed=1))
                self._finished(result)
                await self._send(pb.FromAgent(result=result))

    async def _told(self, kept: Iterable[pb.KeptJob], asked_at: float) -> None:
        for each in kept:
            attempt = each.job_id, each.epoch
            if not each.yours:
                self.running.discard(attempt)
                self.leased_until.pop(attempt, None)
                await self._end(attempt)
            elif attempt in self.running:
                self.leased_until[attempt] = asked_at + LEASE_SECONDS

    def _finished(self, result: pb.Result) -> None:
        self.journal[result.command_id] = result
        self.unacknowledged.add(result.command_id)

    async def _send_lines(self, attempt: Attempt) -> None:
        spool = self.spools[attempt]
        lines = [
            pb.LogLine(seq=seq, gap=gap, at_ms=1_800_000_000_000, level="info", source="program", text=f"line {seq}")
            for seq, gap in spool.told.items()
            if seq > spool.acked
        ]
        if lines:
            await self._send(pb.FromAgent(log=pb.LogChunk(job_id=attempt[0], epoch=attempt[1], lines=lines)))

    async def _send(self, message: pb.FromAgent) -> None:
        if self.wire is not None:
            with contextlib.suppress(*BROKEN, TimeoutError):
                async with asyncio.timeout(5):
                    await self.wire.send(message)
