"""The stream of an agent, from its Hello to its end."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import Any, Final

import grpc

from pavo import __version__
from pavo.config import GatewaySettings
from pavo.errors import Conflict, Forbidden, InvalidInput, NotAuthenticated, PavoError, Unavailable
from pavo.fleet.sessions.greeting import described, running
from pavo.fleet.sessions.messages import Messages
from pavo.fleet.sessions.reunion import Reunion
from pavo.fleet.sessions.session import Ending, OpenSessions, Session
from pavo.fleet.work.agent_workers import AgentWorkers
from pavo.jobs.agents import sessions
from pavo.jobs.agents.sessions import Asking, Described, HeldJob, KeptAttempt
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.agents.tokens import AgentGrant
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.limits import PROGRAM
from pavo.protocol.texts import make_storable
from pavo.protocol.versions import PROTOCOL

logger = logging.getLogger(__name__)

HELLO_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 2.0
"""For the last word to be taken."""
OPEN_TRIES: Final = 3

Context = Any
"""grpc.aio.ServicerContext, whose types say nothing of messages."""


class Streams:
    """What happens on the streams of agents. Belongs to one event loop.

    Args:
        gateway_id: of this process.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        database: Database,
        tokens: AgentTokenService,
        gateway_id: uuid.UUID,
        open_sessions: OpenSessions,
        workers: AgentWorkers,
        messages: Messages,
        reunion: Reunion,
    ) -> None:
        self._settings, self._database, self._tokens, self._gateway_id = settings, database, tokens, gateway_id
        self._sessions, self._workers, self._messages, self._reunion = open_sessions, workers, messages, reunion
        self._running: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def connect(self, context: Context) -> None:
        """Serve one stream."""
        grant = await granted(self._tokens, context)
        if self._stopping or len(self._sessions) >= self._settings.agents:
            why = "is ending" if self._stopping else f"has {self._settings.agents} agents, as many as it takes"
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"This gateway {why}. Come back: another one takes you.")
        hello = await self._hello(context)
        task = asyncio.create_task(self._serve(context, grant, hello), name=f"agent {hello.agent[:100]}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()  # the peer is gone; what is left to be done is done by that task
            raise

    async def close(self) -> None:
        """End every stream: each agent is told to come back, and goes to another gateway."""
        self._stopping = True
        for session in self._sessions.all():
            session.end(Ending("This gateway is ending.", "Connect again: another one takes you."))
        if self._running:
            await asyncio.wait(self._running)

    async def _hello(self, context: Context) -> pb.Hello:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                first: pb.FromAgent | None = await received(context)
        except TimeoutError:
            first = None
        if first is None or first.WhichOneof("message") != "hello":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "A session begins with a Hello, within 10 s.")
            raise AssertionError("unreachable")
        make_storable(first)
        return first.hello

    async def _serve(self, context: Context, grant: AgentGrant, hello: pb.Hello) -> None:
        try:
            found = described(hello)
            session, welcome = await self._open(grant, found, hello)
        except (InvalidInput, Forbidden, Conflict) as error:
            metrics.GATEWAY_REFUSED.add(error.code)
            logger.info("Agent %s is refused: %s", hello.agent[:100], error)
            await context.write(refused(error).goodbye)
            return
        except Unavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, _told(error))
            return
        try:
            session.send(welcome)
            self._workers.begin(session.opened)
            self._reunion.begin(session.opened)
            await self._talk(context, session)
        finally:
            await finish(self._close(session))

    async def _open(self, grant: AgentGrant, found: Described, hello: pb.Hello) -> tuple[Session, pb.ToAgent]:
        held = running(hello.running)
        async with self._database.transaction() as transaction:
            opened = await sessions.open_session(transaction, grant, found, self._gateway_id, self._workers.queue_of)
            kept = await sessions.renew(transaction, opened.agent_id, held)
            debts = await sessions.debts_of(transaction, opened.agent_id)
        session = Session(opened, grant.token_id, hello, self._settings.log_kb * 1_024)
        try:
            self._sessions.add(session)
            await self._reunion.fail_former(opened)
        except BaseException:
            await finish(self._close(session))
            raise
        metrics.GATEWAY_SESSIONS_OPENED.add()
        metrics.GATEWAY_SESSIONS.set(len(self._sessions))
        logger.info("Agent %s (%s) is connected: session %s", opened.name, opened.agent_id, opened.number)
        return session, self._welcome(session, kept, debts)

    def _welcome(self, session: Session, kept: Sequence[KeptAttempt], debts: Sequence[HeldJob]) -> pb.ToAgent:
        session.owed_told |= {f"{each.job_id}:{each.epoch}" for each in debts}
        welcome = pb.Welcome(
            protocol=PROTOCOL,
            version=__version__,
            session=session.opened.number,
            log_credit=session.log_credit,
            ping_seconds=max(1, round(self._settings.ping_seconds)),
            silence_seconds=max(1, round(self._settings.silence_seconds)),
            jobs=[kept_job(each) for each in kept],
            debts=[pb.Cleanup(job_id=str(each.job_id), epoch=each.epoch) for each in debts],
        )
        return pb.ToAgent(welcome=welcome)

    async def _talk(self, context: Context, session: Session) -> None:
        reader = asyncio.create_task(self._read(context, session))
        writer = asyncio.create_task(self._write(context, session))
        ticker = asyncio.create_task(self._tick(session))
        ended = asyncio.create_task(session.ended())
        try:
            done, _ = await asyncio.wait((reader, writer, ticker, ended), return_when=asyncio.FIRST_COMPLETED)
            for each in done - {ended}:
                if each.exception() is not None:
                    logger.info("The stream of agent %s broke: %r", session.opened.name, each.exception())
            session.end(Ending("The stream has ended."))
            session.outbox.close((await session.ended()).goodbye)
            await asyncio.wait((writer,), timeout=GOODBYE_SECONDS)
        finally:
            session.end(Ending("The stream has ended."))
            for each in (reader, writer, ticker, ended):
                each.cancel()
            await asyncio.wait((reader, writer, ticker, ended))

    async def _read(self, context: Context, session: Session) -> None:
        loop = asyncio.get_running_loop()
        while not session.is_over:
            message: pb.FromAgent | None = await received(context)
            if message is None:
                return
            session.heard_at, session.busy = loop.time(), True
            try:
                await self._messages.take(session, message)
            finally:
                session.heard_at, session.busy = loop.time(), False

    async def _write(self, context: Context, session: Session) -> None:
        """The only task that writes to the stream: two kill it."""
        while (message := await session.outbox.take()) is not None:
            try:
                async with asyncio.timeout(self._settings.silence_seconds):
                    await context.write(message)
            except TimeoutError:
                session.end(Ending("This agent does not read its stream.", "Look at its machine."))
                return

    async def _tick(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        while not session.is_over:
            await asyncio.sleep(self._settings.ping_seconds)
            silence = loop.time() - session.heard_at
            if not session.busy and silence > self._settings.silence_seconds:
                session.end(Ending(f"Nothing was heard of this agent for {silence:.0f} s."))
            else:
                session.greet()

    async def _close(self, session: Session) -> None:
        session.end(Ending("The stream has ended."))
        self._sessions.remove(session)
        self._workers.end(session.opened)
        metrics.GATEWAY_SESSIONS.set(len(self._sessions))
        ending = await session.ended()
        logger.info("Session %s of agent %s has ended: %s", session.opened.number, session.opened.name, ending.reason)
        for _ in range(OPEN_TRIES):
            try:
                async with self._database.transaction() as transaction:
                    await sessions.close_session(transaction, session.opened)
                self._reunion.end(session.opened)
                return
            except Unavailable as error:
                logger.info("The end of a session is not noted yet: %s", error)
                await asyncio.sleep(0.5)


async def received(context: Context) -> Any:
    """The next message of a call; None: its side of the call has ended."""
    message = await context.read()
    return None if message is grpc.aio.EOF else message  # pyright: ignore[reportAttributeAccessIssue]


async def finish(work: Any) -> None:
    """Do it to its end, also where the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


async def granted(tokens: AgentTokenService, context: Context) -> AgentGrant:
    """What the call's token opens; the call is ended where it opens nothing."""
    try:
        grant = await tokens.opened(_token(context))
    except Unavailable as error:
        await context.abort(grpc.StatusCode.UNAVAILABLE, _told(error))
        raise
    if grant is None:
        metrics.GATEWAY_REFUSED.add(NotAuthenticated.__name__)
        told = "This token opens nothing: there is none such, or it was revoked, or it has expired."
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"{told} Make one with: pavo agent token create")
        raise AssertionError("unreachable")
    return grant


async def asking(tokens: AgentTokenService, context: Context) -> Asking:
    """Who calls, by token and program; as `granted`."""
    return Asking(await granted(tokens, context), _said(context, PROGRAM))


def _token(context: Context) -> str:
    return _said(context, "authorization").removeprefix("Bearer ").strip()


def _said(context: Context, wanted: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == wanted and isinstance(value, str):
            return value
    return ""


def kept_job(kept: KeptAttempt) -> pb.KeptJob:
    """What is true of an attempt, as the agent is told."""
    return pb.KeptJob(job_id=str(kept.job_id), epoch=kept.epoch, yours=kept.holds, acked_log_seq=kept.acked)


def refused(error: PavoError) -> Ending:
    """An agent that is not taken, and why."""
    return Ending(f"{error.field}: {error.detail}" if error.field else error.detail, error.remedy or "", False)


def _told(error: PavoError) -> str:
    return f"{error.detail} {error.remedy or ''}".strip()
