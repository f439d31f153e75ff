"""Commands of the gateway: journalled, carried out once, one after the other for each job, ended when they must."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pavo.kit.texts.storable import storable
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.limits import MAX_BODY_BYTES
from pavo.remote.failed_results import TOLD, agent_failed, failed, restarted, too_large
from pavo.remote.journal import Attempt, Journal, Standing, State, Unfinished
from pavo.remote.processes.running import end_remains
from pavo.remote.spool import Spool
from pavo.remote.work import CommandCancelled, CommandFailed, Handler, Work, warning_now

logger = logging.getLogger(__name__)

CLEANUP: Final = "cleanup"
KEEP_LATE_WORK: Final = "keep_late_work"
OF_ENDED: Final = (CLEANUP, KEEP_LATE_WORK)
"""Commands about attempts that are over: nothing ends them but the program's own end."""
END_SECONDS: Final = 60.0
"""For a handler that is told to end, before it is cut."""
AGAIN_SECONDS: Final = 15.0
"""After which a result is sent again that nobody has acknowledged."""


@dataclass(slots=True)
class _Running:
    """A command that is carried out, or waits for another one of its job."""

    work: Work
    task: "asyncio.Task[None] | None" = None
    begun: float = field(default_factory=time.monotonic)
    ended_as: pb.Failure | None = None
    """Why it was told to end, where that is no cancellation."""

    @property
    def kind(self) -> str:
        return self.work.command.WhichOneof("body") or ""


class Dispatcher:
    """Belongs to one event loop.

    Args:
        handlers: by kind of command, as the protocol names it: start_execution, …
        send: has a message written on the stream, if there is one.
        capacity: jobs that are worked at at once.
    """

    def __init__(
        self,
        journal: Journal,
        spool: Spool,
        handlers: Mapping[str, Handler],
        send: Callable[[pb.FromAgent], None],
        capacity: int,
    ) -> None:
        self._journal, self._spool, self._handlers, self._send = journal, spool, handlers, send
        self._capacity = capacity
        self._running: dict[str, _Running] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._places: set[str] = set()
        """Jobs that are worked at."""
        self._sent: dict[str, float] = {}
        """When each result was sent last that is not acknowledged."""
        self._unwritten: dict[str, pb.Result] = {}
        """Results that the journal could not take: they are sent all the same, and written as soon as it can."""
        self._declined: dict[str, pb.Result] = {}
        """What commands were answered that could not be noted, and were not begun for that."""
        self._turned_away: set[Attempt] = set()
        """Attempts of which nothing was begun, for no new job is taken."""
        self.draining = ""
        """Why nothing new is taken; empty: it is."""

    async def recover(self) -> None:
        """End what is left of an earlier life of this program, and answer what it had begun: cleaning up is done again,
        what had put by all it needs is gone on with, and the rest is told to have failed."""
        unfinished = await asyncio.to_thread(self._journal.unfinished)
        await asyncio.gather(*(asyncio.to_thread(end_remains, each.command.id) for each in unfinished))
        for each in unfinished:
            if each.kept is not None or each.command.WhichOneof("body") in OF_ENDED:
                self._begin(each)
            else:
                await self._finish(restarted(each.command))

    async def take(self, command: pb.Command) -> None:
        """A command has come, perhaps not for the first time. Returns once it is in the journal."""
        if command.WhichOneof("body") is None:
            logger.warning("A command of a kind that is not known here is answered so: %s", command.id)
        if (declined := self._declined.get(command.id)) is not None:
            self._send_result(declined)
            return
        try:
            standing = await asyncio.to_thread(self._journal.accept, command)
        except sqlite3.Error as error:
            self._decline(command, error)
            return
        self._send(pb.FromAgent(accepted=pb.Accepted(command_id=command.id)))
        if command.HasField(KEEP_LATE_WORK):
            await self.lose(Attempt(command.job_id, command.epoch))
        if standing is Standing.NEW:
            self._begin(Unfinished(command, None))
        elif command.id in self._unwritten:
            self._send_result(self._unwritten[command.id])
        elif standing is Standing.DONE:
            result = await asyncio.to_thread(self._journal.result_of, command.id)
            self._send_result(result or failed(command, "Forgotten", "The attempt is over and cleaned up.", ""))

    def _decline(self, command: pb.Command, error: sqlite3.Error) -> None:
        """Nothing is begun that is not noted: another life of this program would begin it again."""
        logger.error("The journal cannot be written, so command %s is not begun: %s", command.id, error)
        cause = f"The agent's journal cannot be written: {error}."
        remedy = "Make room on the disk of its state directory; `pavo agent doctor` tells more."
        self._declined[command.id] = result = failed(command, "NoSpace", cause, remedy, retryable=True)
        self._send_result(result)

    async def cancel(self, attempt: Attempt, reason: str) -> None:
        """End what is done for an attempt, but for its cleaning up."""
        for each in self._of(attempt):
            each.work.log(f"Cancelled: {reason or 'somebody asked for it'}.", level="warning")
            self._end(each)

    async def lose(self, attempt: Attempt) -> None:
        """The attempt does not hold its job any more: its work ends, its results and its log stay."""
        for each in self._of(attempt):
            if not each.work.lost:
                each.work.lost = True
                each.work.log(
                    "This attempt has lost its job: its work ends; what it has changed is kept.", level="warning"
                )
                self._end(each)
        await asyncio.to_thread(self._journal.mark, attempt, State.LOST)

    async def acknowledge(self, command_id: str) -> None:
        """The gateway has a result."""
        self._sent.pop(command_id, None)
        if command_id in self._declined:
            return
        if (unwritten := self._unwritten.get(command_id)) is not None and not await self._write(unwritten):
            self._sent[command_id] = time.monotonic()  # it is acknowledged once more when it is written
            return
        result = await asyncio.to_thread(self._journal.result_of, command_id)
        await asyncio.to_thread(self._journal.acknowledge, command_id)
        if result is not None and result.HasField("cleaned"):
            await asyncio.to_thread(self._journal.mark, Attempt(result.job_id, result.epoch), State.CLEANED)

    async def resend(self) -> None:
        """Send every result that is not acknowledged: at the beginning of a session."""
        for result in await asyncio.to_thread(self._journal.unacknowledged):
            self._send_result(result)

    async def tick(self) -> None:
        """Say what is worked at, send again what nobody has acknowledged, and forget what is over."""
        for each in list(self._running.values()):
            self._send(_working(each.work))
        now = time.monotonic()
        for unwritten in list(self._unwritten.values()):
            await self._write(unwritten)
        for command_id, at in list(self._sent.items()):
            if now - at >= AGAIN_SECONDS:
                result = self._unwritten.get(command_id) or self._declined.get(command_id)
                result = result or await asyncio.to_thread(self._journal.result_of, command_id)
                if result is not None:
                    self._send_result(result)
        for attempt, state in await asyncio.to_thread(self._journal.attempts):
            if state is State.CLEANED and self._spool.is_acknowledged(attempt) and not self._of(attempt):
                await asyncio.to_thread(self._journal.forget, attempt)
                self._spool.forget(attempt)

    def drain(self, reason: str) -> None:
        """Take no new job."""
        self.draining = self.draining or reason or "it was asked for"

    async def is_idle(self) -> bool:
        """Whether no job is in progress here, and everything is acknowledged."""
        attempts = await asyncio.to_thread(self._journal.attempts)
        held = any(state is State.HELD for _, state in attempts)
        return (
            not held
            and not self._running
            and not self._unwritten
            and not await asyncio.to_thread(self._journal.unacknowledged)
        )

    async def known(self) -> list[pb.RunningJob]:
        """The attempts of which something is here, for a Hello."""
        return [await self._told(attempt) for attempt, _ in await asyncio.to_thread(self._journal.attempts)]

    def standing(self) -> dict[tuple[str, int], bool]:
        """The attempts of which something is here, by job and epoch: whether each holds its job, as far as is known,
        or is worked at, as where what a lost one has changed is being pushed."""
        busy = {each.work.attempt for each in self._running.values()}
        return {
            (each.job_id, each.epoch): state is State.HELD or each in busy for each, state in self._journal.attempts()
        }

    def tell(self, job_id: str, epoch: int, text: str) -> None:
        """Have a line logged for an attempt that is not worked at."""
        self._spool.add(Attempt(job_id, epoch), warning_now(text))

    async def held(self) -> list[pb.RunningJob]:
        """The attempts whose leases are to be renewed."""
        attempts = await asyncio.to_thread(self._journal.attempts)
        return [await self._told(attempt) for attempt, state in attempts if state is State.HELD]

    async def close(self) -> None:
        """End all that runs; another life of the program, or another agent, does it again."""
        failure = pb.Failure(type="AgentStopped", cause="The agent program was ended.", retryable=True)
        failure.remedy = "It is done again once the agent is there."
        tasks: list[asyncio.Task[None]] = []
        for each in list(self._running.values()):
            each.ended_as = failure
            self._end(each)
            tasks += [each.task] if each.task else []
        if tasks:
            await asyncio.wait(tasks)

    async def _told(self, attempt: Attempt) -> pb.RunningJob:
        open_ones = await asyncio.to_thread(self._journal.open_of, attempt)
        last = self._spool.last_of(attempt)
        return pb.RunningJob(job_id=attempt.job_id, epoch=attempt.epoch, last_log_seq=last, command_ids=open_ones)

    def _of(self, attempt: Attempt) -> list[_Running]:
        return [each for each in self._running.values() if each.work.attempt == attempt and each.kind not in OF_ENDED]

    def _begin(self, unfinished: Unfinished) -> None:
        command = unfinished.command

        async def put_by(what: bytes) -> None:
            await asyncio.to_thread(self._journal.keep, command.id, what)

        work = Work(
            command=command,
            add_line=self._spool.add,
            show_stage=lambda _: self._send(_working(work)),
            put_by=put_by,
            kept=unfinished.kept,
        )
        running = self._running[command.id] = _Running(work)
        running.task = asyncio.create_task(self._carry_out(running), name=f"command {command.id}")

    async def _carry_out(self, running: _Running) -> None:
        command = running.work.command
        key = _lock_of(running)
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            await self._end_older(running.work.attempt)
            async with lock:  # one worktree, and one branch, is never worked at by two
                await self._until_ended(running)
                result = await self._result(running)
        except Exception as error:  # noqa: BLE001  a command without a result would be waited for without end
            result = agent_failed(command, error)
        finally:
            del self._running[command.id]
            if not any(_lock_of(each) == key for each in self._running.values()):
                self._locks.pop(key, None)
                self._places.discard(key)
        await self._finish(result)

    async def _until_ended(self, running: _Running) -> None:
        """What is kept of a lost attempt is looked at when nothing of it works any more."""
        if running.kind == KEEP_LATE_WORK:
            tasks = [each.task for each in self._of(running.work.attempt) if each.task is not None]
            if tasks:
                await asyncio.wait(tasks)

    async def _end_older(self, attempt: Attempt) -> None:
        """A newer attempt at the same job is here: an older one has lost it, whoever has heard of that."""
        older = {each.work.attempt for each in self._running.values() if each.work.attempt.job_id == attempt.job_id}
        for each in older:
            if each.epoch < attempt.epoch:
                await self.lose(each)

    async def _result(self, running: _Running) -> pb.Result:
        command, begun = running.work.command, time.monotonic()
        watch = asyncio.create_task(self._watch_time(running))
        try:
            result = await self._outcome(running)
        finally:
            watch.cancel()
        result.command_id, result.job_id, result.epoch = command.id, command.job_id, command.epoch
        result.seconds = round(time.monotonic() - begun, 3)
        return result if result.ByteSize() <= MAX_BODY_BYTES else too_large(command, result.ByteSize())

    async def _outcome(self, running: _Running) -> pb.Result:
        """Whatever the handler does."""
        work = running.work
        try:
            if (refused := await self._refused(running)) is not None:
                return pb.Result(failure=refused)
            return await self._handlers[running.kind](work)
        except CommandFailed as error:
            cause, remedy = storable(error.detail, TOLD), storable(error.remedy or "")
            failure = pb.Failure(type=error.kind, cause=cause, remedy=remedy, retryable=error.retryable)
            work.log(f"{error.detail} {error.remedy or ''}".strip(), level="error")
            return pb.Result(failure=running.ended_as or failure)
        except (CommandCancelled, asyncio.CancelledError) as error:
            if running.ended_as is not None:
                return pb.Result(failure=running.ended_as)
            return pb.Result(cancelled=pb.Cancelled(killed=getattr(error, "killed", 0)))
        except Exception as error:  # noqa: BLE001  the failure that is made of it is logged
            result = agent_failed(work.command, error)
            work.log(f"The agent program failed: {result.failure.cause}", level="error")
            return result

    async def _refused(self, running: _Running) -> pb.Failure | None:
        """Why a command is not begun."""
        command, work = running.work.command, running.work
        if running.kind not in self._handlers:
            return pb.Failure(
                type="UnknownCommand",
                cause="This agent does not know the command.",
                remedy="Upgrade the agent program.",
            )
        if running.kind in OF_ENDED:
            return None
        work.check()
        attempts = await asyncio.to_thread(self._journal.attempts)
        if any(each.job_id == command.job_id and each.epoch > command.epoch for each, _ in attempts):
            return pb.Failure(type="OldAttempt", cause="A newer attempt at this job is here.", remedy="None is needed.")
        if command.job_id not in self._places and len(self._places) >= self._capacity:
            return pb.Failure(
                type="NoCapacity",
                cause=f"This agent works at {self._capacity} jobs at once, and has them.",
                remedy="Raise its --capacity, or wait.",
                retryable=True,
            )
        if self.draining and await self._is_new(work.attempt):
            self._turned_away.add(work.attempt)
            cause = f"This agent takes no new job: {self.draining}."
            return pb.Failure(type="Draining", cause=cause, remedy="Another agent takes it.", retryable=True)
        self._places.add(command.job_id)
        return None

    async def _is_new(self, attempt: Attempt) -> bool:
        """Whether nothing of it was begun; a command that was turned away is no beginning."""
        return attempt in self._turned_away or await asyncio.to_thread(self._journal.count_of, attempt) <= 1

    async def _watch_time(self, running: _Running) -> None:
        """End it when its time is over; cut it where it does not end."""
        seconds = running.work.seconds_left
        if seconds is None:
            return
        await asyncio.sleep(seconds + 5.0)  # its programs end by the same time, and say so better
        cause = f"The command took longer than {running.work.command.timeout_seconds} s."
        running.ended_as = pb.Failure(type="TimedOut", cause=cause, remedy="Give it more time.")
        self._end(running)

    def _end(self, running: _Running) -> None:
        running.work.ending.cancel()
        task = running.task
        if task is not None and not task.done():
            loop = asyncio.get_running_loop()
            cut = loop.call_later(END_SECONDS, task.cancel)
            task.add_done_callback(lambda _: cut.cancel())

    async def _finish(self, result: pb.Result) -> None:
        await self._write(result)
        self._send_result(result)

    async def _write(self, result: pb.Result) -> bool:
        """Have the journal keep a result; whether it does. Else it is kept here, and tried again."""
        try:
            await asyncio.to_thread(self._journal.finish, result)
        except sqlite3.Error as error:
            logger.error("The journal cannot be written, so a result is kept in memory: %s", error)
            self._unwritten[result.command_id] = result
            return False
        self._unwritten.pop(result.command_id, None)
        return True

    def _send_result(self, result: pb.Result) -> None:
        self._sent[result.command_id] = time.monotonic()
        self._send(pb.FromAgent(result=result))


def _lock_of(running: _Running) -> str:
    """Of its job; what is kept of a lost attempt does not wait for a newer one of the same job."""
    command = running.work.command
    return f"{command.job_id}:{command.epoch}" if running.kind == KEEP_LATE_WORK else command.job_id


def _working(work: Work) -> pb.FromAgent:
    command = work.command
    told = pb.Working(command_id=command.id, job_id=command.job_id, epoch=command.epoch, stage=work.stage_shown)
    return pb.FromAgent(working=told)
