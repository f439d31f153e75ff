"""Runs the validation: a short-lived worker on a task queue of its own, and what the client sees of it."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any

from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Worker

from pavo.deploy.model.findings import Finding, succeeded
from pavo.deploy.validation import contracts as c
from pavo.deploy.validation.workflow import Validation, ValidationChild
from pavo.temporal.activities import implementations

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 25.0
"""For one whole validation; a healthy installation needs one or two."""
SHUTDOWN_SECONDS = 5.0

REMEDIES = {
    c.ACTIVITY: "Temporal's matching service hands tasks to workers: look at Temporal's log (pavo logs temporal).",
    c.TIMER: "Temporal's history service fires timers: look at its log (pavo logs temporal) and at the clocks.",
    c.CHILD: "Temporal's history service starts children: look at its log (pavo logs temporal).",
    c.DATABASE: "Correct DATABASE_URL, bring the schema up to date with pavo migrate, look at PostgreSQL's log.",
    c.RETRY: "Temporal's history service schedules retries: look at its log (pavo logs temporal).",
    c.SIGNAL: "Look at Temporal's log (pavo logs temporal): signals go to its history service.",
    c.QUERY: "Look at Temporal's log (pavo logs temporal): queries go through its matching service to the worker.",
    c.UPDATE: "Updates need Temporal 1.25 or later, with frontend.enableUpdateWorkflowExecution left on.",
    c.CONTINUE_AS_NEW: "Look at Temporal's log (pavo logs temporal): its history service starts the next run.",
}


@dataclass(frozen=True, slots=True)
class Validated:
    """One validation."""

    workflow_id: str
    first_run_id: str
    findings: tuple[Finding, ...]
    """One for each of `contracts.CHECKS`, in that order."""
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything passed."""
        return succeeded(self.findings)


class Validator:
    """`async with Validator(client, activities) as validator: await validator.once()`."""

    def __init__(self, client: Client, activities: c.ValidationActivities, name: str | None = None) -> None:
        self._client = client
        self.name = name or f"pavo-validate-{uuid.uuid4().hex[:10]}"
        """Of its task queue; ids of its workflows begin with it."""
        self._worker = Worker(
            client,
            task_queue=self.name,
            workflows=[Validation, ValidationChild],
            activities=[*implementations(activities)],
        )
        self._count = 0
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Validator":
        self._running = asyncio.create_task(self._worker.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._running is not None
        # A worker waits for a server that hangs. This one holds nothing worth waiting for.
        ending = asyncio.create_task(self._worker.shutdown())
        await asyncio.wait({ending, self._running}, timeout=SHUTDOWN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if self._running.done() and (fatal := self._running.exception()):
            logger.warning("The validation's worker failed: %s", fatal)

    async def start(self, *, hold: bool = False) -> WorkflowHandle[Validation, c.Proof]:
        """Start a validation.

        Raises:
            RPCError: Temporal does not take it.
        """
        self._count += 1
        return await self._client.start_workflow(
            Validation.run,
            c.ValidationInput(str(uuid.uuid4()), hold),
            id=f"{self.name}-{self._count}",
            task_queue=self.name,
            execution_timeout=c.EXECUTION_TIMEOUT,
            task_timeout=timedelta(seconds=2),
        )

    async def once(self) -> Validated:
        """One validation from start to end. What does not work is a finding, not an exception."""
        begun = time.monotonic()
        try:
            handle = await self.start()
        except RPCError as error:
            findings = tuple(_failed(name, f"The workflow cannot be started: {error.message}") for name in c.CHECKS)
            return Validated("", "", findings, time.monotonic() - begun)
        found = await speak(handle)
        found |= await self._result(handle, begun)
        findings = tuple(found[name] for name in c.CHECKS)
        return Validated(handle.id, handle.first_execution_run_id or "", findings, time.monotonic() - begun)

    async def _result(self, handle: WorkflowHandle[Validation, c.Proof], begun: float) -> dict[str, Finding]:
        """What the workflow itself recorded; where it hangs or failed, how far it came."""
        try:
            left = max(DEADLINE_SECONDS - (time.monotonic() - begun), 1.0)
            async with asyncio.timeout(left):
                proof = await handle.result()
        except (WorkflowFailureError, RPCError, RPCTimeoutOrCancelledError, TimeoutError) as error:
            why = str(error.cause if isinstance(error, WorkflowFailureError) else error)
            found = await _how_far(handle, why or f"It was not over within {DEADLINE_SECONDS:.0f} s.")
            await _terminate(handle)
            return found
        noted = {proven.name: _finding(proven) for proven in proof.proven}
        heard = {name: noted[name] for name in (c.SIGNAL, c.UPDATE) if noted[name].status == "fail"}
        return {name: noted[name] for name in noted if name not in (c.SIGNAL, c.UPDATE)} | heard


async def _how_far(handle: WorkflowHandle[Validation, Any], cause: str) -> dict[str, Finding]:
    """What a workflow that hangs or failed had done already; the first thing that it had not done is what failed."""
    try:
        told = await handle.query(Validation.progress, rpc_timeout=timedelta(seconds=2))
        done = told.done
    except (WorkflowQueryFailedError, RPCTimeoutOrCancelledError, RPCError):
        done = ()
    found = {name: Finding(name, "pass", "done, but the workflow did not end") for name in c.ORDER if name in done}
    left = [name for name in c.ORDER if name not in done]
    found |= {name: Finding(name, "skip", "not reached") for name in left[1:]}
    return found | {name: _failed(name, cause) for name in left[:1]}


async def speak(handle: WorkflowHandle[Validation, Any]) -> dict[str, Finding]:
    """Signal, query and update a validation, each with the time until it was answered."""

    async def query() -> str:
        told = await handle.query(Validation.progress, rpc_timeout=timedelta(seconds=5))
        return f"answered: {len(told.done)} things done"

    async def update() -> str:
        await _refused(handle)
        doubled = await handle.execute_update(Validation.double, 21, id="double", rpc_timeout=timedelta(seconds=5))
        if doubled != 42:
            raise ValueError(f"It answered {doubled} instead of 42.")
        return "a negative number was refused"

    async def signal() -> str:
        await handle.signal(Validation.nudge, rpc_timeout=timedelta(seconds=5))
        return ""

    steps: dict[str, Callable[[], Awaitable[str]]] = {c.SIGNAL: signal, c.QUERY: query, c.UPDATE: update}
    return {name: await _timed(name, step) for name, step in steps.items()}


async def _refused(handle: WorkflowHandle[Validation, Any]) -> None:
    """The update's validator keeps a negative number out.

    Raises:
        ValueError: it was let in.
        WorkflowUpdateFailedError: something else went wrong.
    """
    try:
        answer = await handle.execute_update(Validation.double, -1, id="refused", rpc_timeout=timedelta(seconds=5))
    except WorkflowUpdateFailedError as error:
        if isinstance(error.cause, ApplicationError) and error.cause.type == c.REFUSED:
            return
        raise
    raise ValueError(f"A negative number was not refused; it answered {answer}.")


async def _timed(name: str, step: Callable[[], Awaitable[str]]) -> Finding:
    begun = time.monotonic()
    try:
        detail = await step()
    except (WorkflowUpdateFailedError, WorkflowQueryFailedError, RPCTimeoutOrCancelledError, RPCError) as error:
        return _failed(name, str(getattr(error, "cause", None) or error) or "No answer within 5 s.")
    except ValueError as error:
        return _failed(name, str(error))
    return Finding(name, "pass", detail, seconds=time.monotonic() - begun)


def _finding(proven: c.Proven) -> Finding:
    if proven.cause is not None:
        return _failed(proven.name, proven.cause, proven.seconds)
    return Finding(proven.name, "pass", seconds=proven.seconds)


def _failed(name: str, cause: str, seconds: float | None = None) -> Finding:
    return Finding(name, "fail", cause, REMEDIES[name], seconds)


async def _terminate(handle: WorkflowHandle[Any, Any]) -> None:
    """Leave nothing running; where even that does not work, the execution time-out does it."""
    try:
        await handle.terminate("The validation gave up.", rpc_timeout=timedelta(seconds=2))
    except (RPCError, RPCTimeoutOrCancelledError):
        return
