"""One session of a remote agent in this gateway: what waits for it, and who waits for what of it."""

import asyncio
import itertools
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pavo.errors import Unavailable
from pavo.fleet.sessions.outbox import AttemptKey, Outbox
from pavo.jobs.agents.sessions import OpenSession
from pavo.protocol import fleet_pb2 as pb


class SessionEnded(Exception):
    """Whoever waits for something of a session is told that it is over."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session ends, as the agent is told."""

    reason: str
    remedy: str = ""
    come_back: bool = True

    @property
    def goodbye(self) -> pb.ToAgent:
        """The last message."""
        return pb.ToAgent(goodbye=pb.Goodbye(reason=self.reason, remedy=self.remedy, come_back=self.come_back))


DISPLACED: Final = Ending("A newer session of this agent has begun, or the agent was removed.", come_back=False)


@dataclass(slots=True)
class LogTail:
    """How far the log of an attempt of this agent has come."""

    job_id: uuid.UUID
    epoch: int
    seq: int
    """Of the last line that was taken."""


class Waiter:
    """Waits for a command's result; signs that the agent works at it wake it too."""

    def __init__(self) -> None:
        self._result: pb.Result | None = None
        self._over = False
        self._wake = asyncio.Event()

    def show_sign(self) -> None:
        """The agent works at it."""
        self._wake.set()

    def give(self, result: pb.Result) -> None:
        """It has ended."""
        self._result = result
        self._wake.set()

    def end(self) -> None:
        """The session is over."""
        self._over = True
        self._wake.set()

    async def next(self) -> pb.Result | None:
        """The result; None: a sign of work.

        Raises:
            SessionEnded: the session is over, and the result did not come.
        """
        await self._wake.wait()
        self._wake.clear()
        if self._result is not None:
            return self._result
        if self._over:
            raise SessionEnded
        return None


@dataclass(slots=True)
class _Expected:
    """A command that somebody waits for."""

    job_id: str
    epoch: int
    waiters: list[Waiter] = field(default_factory=list[Waiter])


class Session:
    """Belongs to one event loop.

    Args:
        opened: as the rows know it.
        token_id: of the token that opened it.
        hello: what the agent said of itself first.
        log_credit: bytes of log that may be unacknowledged.
    """

    def __init__(self, opened: OpenSession, token_id: uuid.UUID, hello: pb.Hello, log_credit: int) -> None:
        self.opened = opened
        self.token_id = token_id
        self.hello = hello
        self.log_credit = log_credit
        self.log_bytes = 0
        """Of log that is not stored yet."""
        self.log_refused = False
        """Whether lines of it could not be stored: what comes after them is not stored either."""
        self.outbox = Outbox()
        self.tails: dict[AttemptKey, LogTail] = {}
        self.stages: dict[str, str] = {}
        """What was shown last, by command."""
        self.drain_told = False
        self.owed_told: set[str] = set()
        """Ids of commands about attempts that are over, sent in this session."""
        self.busy = False
        """Whether the gateway keeps it waiting: its silence is none of its own."""
        loop = asyncio.get_running_loop()
        self.heard_at = loop.time()
        self._ending: asyncio.Future[Ending] = loop.create_future()
        self._expected: dict[str, _Expected] = {}
        self._numbers = itertools.count(1)
        self._pongs: dict[int, asyncio.Future[None]] = {}

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._ending.done()

    async def ended(self) -> Ending:
        """Wait for its end."""
        return await asyncio.shield(self._ending)

    def end(self, ending: Ending) -> None:
        """End it; the first reason counts. Whoever waits for something of it is told."""
        if self._ending.done():
            return
        self._ending.set_result(ending)
        for expected in self._expected.values():
            for waiter in expected.waiters:
                waiter.end()
        for pong in self._pongs.values():
            if not pong.done():
                pong.set_exception(SessionEnded())

    def send(self, message: pb.ToAgent) -> bool:
        """Have a message written. An agent that reads nothing loses its session."""
        if self.is_over:
            return False
        if not self.outbox.put(message):
            self.end(Ending("Too much waits for this agent: it does not read its stream.", "Look at its machine."))
            return False
        return True

    @contextmanager
    def expecting(self, command_id: str, job_id: str, epoch: int) -> Generator[Waiter]:
        """Wait for a command's result."""
        waiter = Waiter()
        expected = self._expected.setdefault(command_id, _Expected(job_id, epoch))
        expected.waiters.append(waiter)
        if self.is_over:
            waiter.end()
        try:
            yield waiter
        finally:
            expected.waiters.remove(waiter)
            if not expected.waiters:
                self._expected.pop(command_id, None)

    def take_result(self, result: pb.Result) -> None:
        """A result is stored."""
        self.stages.pop(result.command_id, None)
        expected = self._expected.get(result.command_id)
        for waiter in expected.waiters if expected else ():
            waiter.give(result)

    def works_at(self, job_id: str, epoch: int, command_id: str = "") -> None:
        """A sign of work at an attempt, or at one command of it."""
        for known, expected in self._expected.items():
            if (expected.job_id, expected.epoch) == (job_id, epoch) and command_id in ("", known):
                for waiter in expected.waiters:
                    waiter.show_sign()

    async def ping(self) -> None:
        """Greet the agent through the stream and wait for its answer.

        Raises:
            SessionEnded: the session is over.
        """
        number = next(self._numbers)
        pong = self._pongs[number] = asyncio.get_running_loop().create_future()
        try:
            if not self.send(pb.ToAgent(ping=pb.Ping(number=number))):
                raise SessionEnded
            await pong
        finally:
            del self._pongs[number]
            if pong.done() and not pong.cancelled():
                pong.exception()

    def greet(self) -> None:
        """As `ping`; nobody waits."""
        self.send(pb.ToAgent(ping=pb.Ping(number=next(self._numbers))))

    def take_pong(self, number: int) -> None:
        """The agent answered a greeting."""
        pong = self._pongs.get(number)
        if pong is not None and not pong.done():
            pong.set_result(None)


class OpenSessions:
    """The sessions of this gateway, one for each agent."""

    def __init__(self) -> None:
        self._by_agent: dict[uuid.UUID, Session] = {}

    def __len__(self) -> int:
        return len(self._by_agent)

    def all(self) -> list[Session]:
        """Each of them."""
        return list(self._by_agent.values())

    def of(self, agent_id: uuid.UUID | None) -> Session | None:
        """That of an agent; None: it has none here."""
        found = self._by_agent.get(agent_id) if agent_id else None
        return None if found is None or found.is_over else found

    def add(self, session: Session) -> None:
        """The agent's newest session; the one before ends."""
        former = self._by_agent.get(session.opened.agent_id)
        if former is not None and former.opened.number > session.opened.number:
            raise Unavailable("The agent has a newer session.", dependency="fleet")
        self._by_agent[session.opened.agent_id] = session
        if former is not None:
            former.end(DISPLACED)

    def remove(self, session: Session) -> None:
        """It is over."""
        if self._by_agent.get(session.opened.agent_id) is session:
            del self._by_agent[session.opened.agent_id]
