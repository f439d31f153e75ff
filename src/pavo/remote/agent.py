"""The agent program: one journal, one spool, one dispatcher, and sessions at a gateway one after the other."""

import asyncio
import fcntl
import logging
import os
import random
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pavo import __version__
from pavo.errors import ConfigurationError, Conflict
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.versions import PROTOCOL
from pavo.remote.connection import Gateway
from pavo.remote.diagnosis import NotConnected, Refused
from pavo.remote.dispatch import Dispatcher
from pavo.remote.journal import Journal
from pavo.remote.leases import keep_leases
from pavo.remote.session import Outbox, Session
from pavo.remote.settings import AgentSettings
from pavo.remote.spool import Spool
from pavo.remote.work import Handler

logger = logging.getLogger(__name__)

LEAST_PAUSE: Final = 0.5
MOST_PAUSE: Final = 15.0
STEADY_SECONDS: Final = 30.0
"""A session that lasted so long ends the growing of pauses."""
LAST_SECONDS: Final = 3.0
"""For last results to be written when the program ends."""
_REFUSALS: Final = 3
"""In a row, of an agent that was taken before, until it gives up: one that is just being changed may refuse."""


def pause(failures: int) -> float:
    """Seconds before the next try, so that a thousand agents do not come at once."""
    return random.uniform(LEAST_PAUSE, min(LEAST_PAUSE * 2 ** min(failures, 10), MOST_PAUSE))


@contextmanager
def state_of(folder: Path) -> Generator[None]:
    """Hold the state directory, which is made; nobody but this user reads it.

    Raises:
        ConfigurationError: it cannot be made or written.
        Conflict: another program has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        remedy = "Name a folder that this user may write."
        raise ConfigurationError(f"The state directory: {error}.", field="--state", remedy=remedy) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            remedy = "End that one, or give this one another --state and --name."
            raise Conflict(f"Another agent program uses {folder}.", field="--state", remedy=remedy) from None
        yield
    finally:
        os.close(lock)


class AgentProgram:
    """Belongs to one event loop.

    Args:
        handlers: by kind of command; given what they may need of this program.
        programs: names of profiles that can run here.
        sandbox: what holds here, for people.
    """

    def __init__(
        self,
        settings: AgentSettings,
        gateway: Gateway,
        handlers: Mapping[str, Handler],
        programs: Callable[[], tuple[str, ...]],
        sandbox: str,
    ) -> None:
        self._settings, self._gateway, self._programs, self._sandbox = settings, gateway, programs, sandbox
        self._journal = Journal(settings.state)
        self._spool = Spool(settings.state / "logs")
        self._outbox = Outbox(self._spool)
        self._spool.on_line = self._outbox.wake
        send = self._outbox.send
        self.dispatcher = Dispatcher(self._journal, self._spool, handlers, send, settings.capacity)
        self._session: Session | None = None
        self._last_session = 0
        self._stopping, self._ending = asyncio.Event(), asyncio.Event()

    def stop(self) -> None:
        """First: finish the jobs that are here, take nothing new, then end. Again: end now."""
        if self._stopping.is_set():
            self._ending.set()
        self._stopping.set()
        self.dispatcher.drain("the agent program is to end")
        self._outbox.send(pb.FromAgent(changed=self.capabilities()))

    async def run(self) -> None:
        """Until it is told to end.

        Raises:
            Refused: no gateway will have this agent.
        """
        await self.dispatcher.recover()
        settings = self._settings
        leases = keep_leases(
            self._gateway, self.dispatcher, settings.name, self._newest_session, settings.renew_seconds
        )
        sessions = asyncio.create_task(self._sessions())
        others = [asyncio.create_task(each) for each in (leases, self._tick(), self._until_told())]
        try:
            done, _ = await asyncio.wait((sessions, *others), return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
            await self._say_goodbye()
        finally:
            for each in (sessions, *others):
                each.cancel()
            await asyncio.gather(sessions, *others, return_exceptions=True)
            await self._close()

    def capabilities(self) -> pb.Capabilities:
        """What this agent can do now."""
        return pb.Capabilities(
            labels=self._settings.labels,
            programs=self._programs(),
            capacity=self._settings.capacity,
            draining=bool(self.dispatcher.draining),
            sandbox=self._sandbox,
        )

    async def _sessions(self) -> None:
        failures = refusals = 0
        while True:
            begun = time.monotonic()
            try:
                goodbye = await self._one_session()
                if goodbye is not None and not goodbye.come_back:
                    raise Refused(f"The gateway says: {goodbye.reason}", goodbye.remedy)
                logger.info("The session has ended: %s", goodbye.reason if goodbye else "the gateway closed it")
                refusals = 0
            except Refused as error:
                refusals += 1
                if not self._last_session or refusals >= _REFUSALS:
                    raise
                logger.warning("%s %s", error.detail, error.remedy)
            except NotConnected as error:
                refusals = 0
                logger.warning("%s %s", error.detail, error.remedy)
            failures = 1 if time.monotonic() - begun > STEADY_SECONDS else failures + 1
            await asyncio.sleep(pause(failures))

    async def _one_session(self) -> pb.Goodbye | None:
        async with self._gateway.stream() as stream:
            session = self._session = Session(stream, self.dispatcher, self._spool, self._outbox, self.capabilities)
            try:
                return await session.run(await self._hello())
            finally:
                self._last_session = session.number or self._last_session
                self._session = None

    def _newest_session(self) -> int:
        return (self._session.number if self._session is not None else 0) or self._last_session

    async def _hello(self) -> pb.Hello:
        return pb.Hello(
            protocol=PROTOCOL,
            version=__version__,
            agent=self._settings.name,
            machine_id=self._journal.machine_id,
            boot_id=self._gateway.boot_id,
            capabilities=self.capabilities(),
            running=await self.dispatcher.known(),
        )

    async def _tick(self) -> None:
        while True:
            self._last_session = self._newest_session()
            try:
                await self.dispatcher.tick()
            except sqlite3.Error as error:
                logger.warning("The journal cannot be used; it is tried again: %s", error)
            await asyncio.sleep(self._settings.working_seconds)

    async def _until_told(self) -> None:
        """Until it is to end: at once, or when its jobs are done."""
        await self._stopping.wait()
        ending = asyncio.create_task(self._ending.wait())
        try:
            while not ending.done() and not await self.dispatcher.is_idle():
                await asyncio.wait({ending}, timeout=0.5)
        finally:
            ending.cancel()

    async def _say_goodbye(self) -> None:
        """Ends what runs, and has the results written while there is a session."""
        await self.dispatcher.close()
        self._outbox.send(pb.FromAgent(goodbye=pb.Goodbye(reason="The agent program ends.", come_back=True)))
        until = time.monotonic() + LAST_SECONDS
        while self._session is not None and not self._outbox.is_empty and time.monotonic() < until:
            await asyncio.sleep(0.02)

    async def _close(self) -> None:
        await self.dispatcher.close()
        await self._gateway.close()
        self._spool.close()
        self._journal.close()
