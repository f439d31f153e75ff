"""A gateway and its agent, scripted: commands are carried out by a journal, fail, hang, and the agent vanishes."""

import asyncio
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from pavo.jobs import contracts as c
from pavo.jobs.sql.models import JobCommandRow, RemoteAgentRow
from pavo.kit.sql import Database
from pavo.protocol.fleet_pb2 import Cancelled as CancelledResult
from pavo.protocol.fleet_pb2 import (
    CheckResult,
    Cleaned,
    Executed,
    Failure,
    Planned,
    Published,
    Result,
    Verified,
)
from pavo.temporal.activities import implementations

Step = Callable[[c.RunCommand], Awaitable[Result]]
"""What the agent does with a command."""


def executed(*, changed: bool = True) -> Result:
    return Result(executed=Executed(changed=changed, commit="c0ffee", summary="Done."))


def verified(*failed: str) -> Result:
    checks = [CheckResult(name=name, exit_code=1, tail=f"{name} broke") for name in failed]
    return Result(verified=Verified(checks=[CheckResult(name="lint", exit_code=0), *checks]))


def published(url: str = "https://forge.example/pulls/7", number: int = 7) -> Result:
    return Result(published=Published(url=url, number=number if url else 0, commit="c0ffee", branch="pavo/x"))


def failure(type_: str = "ProgramFailed", *, retryable: bool = False, cause: str = "") -> Result:
    cause = cause or f"{type_}: because."
    return Result(failure=Failure(type=type_, cause=cause, remedy="Mend it.", retryable=retryable))


def planned(text: str) -> Result:
    return Result(planned=Planned(text=text))


USUAL = {
    c.MAKE_PLAN: planned("1. Do it."),
    c.START_EXECUTION: executed(),
    c.RUN_VERIFICATION: verified(),
    c.CREATE_PULL_REQUEST: published(),
    c.CLEANUP: Result(cleaned=Cleaned(freed_bytes=1)),
}
_KINDS = {"failure": c.OUTCOME_FAILED, "cancelled": c.OUTCOME_CANCELLED}


def outcome_of(result: Result) -> c.CommandOutcome:
    """As the gateway tells it the workflow."""
    which = result.WhichOneof("outcome") or ""
    return c.CommandOutcome(
        _KINDS.get(which, c.OUTCOME_DONE),
        result.failure.type,
        result.failure.retryable,
        result.executed.changed,
        which == "verified" and all(check.exit_code == 0 for check in result.verified.checks),
        result.cancelled.killed,
    )


@dataclass
class Agent:
    """What a remote agent does, whichever gateway it is connected to: its journal outlives its sessions."""

    database: Database
    id: uuid.UUID
    script: dict[str, deque[Step]] = field(default_factory=dict[str, deque[Step]])
    """By kind: what it does with the next commands; then it does the usual."""
    asked: list[c.RunCommand] = field(default_factory=list[c.RunCommand])
    """Every activity that reached it."""
    carried_out: Counter[str] = field(default_factory=Counter[str])
    """How often it has begun each command, by id."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    journal: dict[str, "asyncio.Task[Result]"] = field(default_factory=dict[str, "asyncio.Task[Result]"])

    def will(self, kind: str, *steps: Step | Result) -> None:
        for step in steps:
            self.script.setdefault(kind, deque()).append(_answering(step) if isinstance(step, Result) else step)

    def rounds(self, kind: str) -> list[tuple[int, int]]:
        """Rounds and attempts of the commands of a kind that were carried out."""
        found = {(each.round, each.attempt): each.command_id for each in self.asked if each.kind == kind}
        return sorted(key for key, command in found.items() if self.carried_out[command])

    async def answer(self, request: c.RunCommand) -> Result:
        """By its journal: what it works at, or has done, it does not begin again."""
        self.asked.append(request)
        if request.command_id not in self.journal:
            self.carried_out[request.command_id] += 1
            steps = self.script.get(request.kind)
            step = steps.popleft() if steps else _answering(USUAL[request.kind])
            self.journal[request.command_id] = asyncio.ensure_future(step(request))
        try:
            result = await asyncio.shield(self.journal[request.command_id])
        except ApplicationError:  # on the way, not at the agent: asked again, it does the next of its script
            del self.journal[request.command_id]
            self.carried_out[request.command_id] -= 1
            raise
        await self._keep(request, result)
        return result

    async def _keep(self, request: c.RunCommand, result: Result) -> None:
        row = {
            "id": uuid.UUID(request.command_id),
            "job_id": uuid.UUID(request.job_id),
            "epoch": request.epoch,
            "kind": request.kind,
            "round": request.round,
            "request": b"",
            "result": result.SerializeToString(),
            "ended_at": func.pavo_now(),
        }
        async with self.database.transaction() as session:
            await session.execute(insert(JobCommandRow).values(row).on_conflict_do_nothing())

    async def until_cancelled(self, _: c.RunCommand) -> Result:
        """Work until somebody cancels."""
        await self.cancelled.wait()
        return Result(cancelled=CancelledResult(killed=3))


def _answering(result: Result) -> Step:
    async def step(_: c.RunCommand) -> Result:
        return result

    return step


async def session_lost(_: c.RunCommand) -> Result:
    raise ApplicationError("The stream ended.", type=c.SESSION_LOST, non_retryable=True)


async def lease_lost(_: c.RunCommand) -> Result:
    raise ApplicationError("Another attempt has it.", type=c.LEASE_LOST, non_retryable=True)


async def for_ever(_: c.RunCommand) -> Result:
    await asyncio.Event().wait()
    raise AssertionError


class _Carrying(c.CommandActivities):
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    @activity.defn(name="run_agent_command")
    async def run_agent_command(self, request: c.RunCommand) -> c.CommandOutcome:
        return outcome_of(await self._agent.answer(request))

    @activity.defn(name="cancel_agent_job")
    async def cancel_agent_job(self, request: c.JobInput) -> None:
        self._agent.cancelled.set()


@dataclass
class Sessions:
    """The sessions of one agent: each has a queue of its own, on which a worker carries its commands out."""

    temporal: Client
    agent: Agent
    number: int = 0
    _running: list[Worker] = field(default_factory=list[Worker])

    async def connect(self) -> str:
        """A new session; its queue, which the agent's row names."""
        self.number += 1
        queue = f"agent-{self.agent.id}-{self.number}"
        worker = Worker(self.temporal, task_queue=queue, activities=implementations(_Carrying(self.agent)))
        self._running.append(worker)
        await worker.__aenter__()
        await self.names(queue)
        return queue

    async def names(self, queue: str | None) -> None:
        """What the agent's row says of its queue."""
        values = {"queue": queue, "online": queue is not None}
        async with self.agent.database.transaction() as session:
            mine = RemoteAgentRow.id == self.agent.id
            await session.execute(update(RemoteAgentRow).where(mine).values(**values))

    async def end(self) -> None:
        """All of its sessions end."""
        await self.names(None)
        running, self._running = self._running, []
        for worker in running:
            await worker.shutdown()


def kinds(requests: Sequence[c.RunCommand]) -> list[str]:
    """Kinds of commands, in their order, each once in a row."""
    return [each.kind for at, each in enumerate(requests) if at == 0 or requests[at - 1].command_id != each.command_id]
