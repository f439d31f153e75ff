"""A validation across a restart of the servers: one run stays in flight, earlier histories are compared."""

import asyncio
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from pavo.config import Settings
from pavo.deploy.checks.connectivity import CONNECT_SECONDS, reach_temporal
from pavo.deploy.local import control
from pavo.deploy.local.stack import STORES
from pavo.deploy.model import state
from pavo.deploy.model.findings import Finding
from pavo.deploy.validation.activities import Prover
from pavo.deploy.validation.runner import Validator, speak
from pavo.deploy.validation.workflow import Validation
from pavo.errors import Conflict, Unavailable
from pavo.kit.sql import Database

Restart = Callable[[], Awaitable[str]]
"""Restarts the servers, returns when they are back, and answers what it restarted."""

EARLIER = 25
"""So many histories of closed workflows are compared, newest first."""
BACK_SECONDS = 90.0
FLIGHT_SECONDS = 30.0
POLL_SECONDS = 0.05

Events = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Flight:
    """What is remembered over the restart."""

    task_queue: str
    workflow_id: str
    first_run_id: str
    earlier: dict[tuple[str, str], Events]
    """By workflow id and run id."""


async def restart_stack(data_dir: Path | None) -> str:
    """End the servers of the running stack, all at once; its supervisor brings them back.

    Raises:
        Conflict: no stack runs there.
        Unavailable: a server did not come back.
    """
    stack = state.running(data_dir)
    if stack is None:
        raise Conflict("No stack runs here.", remedy="Pass --restart-command with what restarts your servers.")
    names = [part.name for part in stack.parts if part.name in STORES]
    await asyncio.gather(*(control.restart(Path(stack.data_dir), name) for name in names))
    return ", ".join(names)


async def restart_by_command(command: str) -> str:
    """Run a shell command that restarts the servers and returns when it did.

    Raises:
        Conflict: it failed.
    """
    done = await asyncio.to_thread(
        subprocess.run, command, shell=True, capture_output=True, text=True, timeout=BACK_SECONDS, check=False
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-300:]
        raise Conflict(f"The restart command ended with code {done.returncode}: {last}", field="--restart-command")
    return command


async def across_restart(settings: Settings, restart: Restart) -> list[Finding]:
    """Leave a run in flight, restart, see it finish, and compare what was there before.

    Raises:
        Conflict, Unavailable: the servers cannot be restarted, or do not come back.
    """
    async with _validator(settings) as (client, validator):
        flight = await _take_off(client, validator)
    begun = time.monotonic()
    what = await restart()
    await _answering(settings)
    restarted = Finding("restart", "pass", what, seconds=time.monotonic() - begun)
    async with _validator(settings, flight.task_queue) as (client, _):
        landed = await _land(client, flight)
        kept = await _compare(client, flight)
    async with _validator(settings) as (_, validator):
        again = await validator.once()
    fresh = [finding for finding in again.findings if finding.status == "fail"]
    new = fresh[0] if fresh else Finding("new work after it", "pass", "everything above, again", seconds=again.seconds)
    return [restarted, landed, kept, new]


@asynccontextmanager
async def _validator(settings: Settings, name: str | None = None) -> AsyncGenerator[tuple[Client, Validator]]:
    reached = await reach_temporal(settings.temporal)
    if reached.client is None:
        raise Unavailable(reached.finding.detail, dependency="temporal")
    database = Database(settings.database.url, pool_size=3)
    try:
        async with Validator(reached.client, Prover(database), name) as validator:
            yield reached.client, validator
    finally:
        await database.close()


async def _take_off(client: Client, validator: Validator) -> Flight:
    await validator.once()  # at least one earlier history
    handle = await validator.start(hold=True)
    await speak(handle)
    await _until_waiting(client, handle.id)
    earlier = {
        (execution.id, execution.run_id): await _events(client, execution.id, execution.run_id)
        async for execution in client.list_workflows("ExecutionStatus != 'Running'", limit=EARLIER)
    }
    return Flight(validator.name, handle.id, handle.first_execution_run_id or "", earlier)


async def _until_waiting(client: Client, workflow_id: str) -> None:
    current = client.get_workflow_handle_for(Validation.run, workflow_id)  # of the run that is now, not of the first
    end = time.monotonic() + FLIGHT_SECONDS
    while True:
        try:
            if (await current.query(Validation.progress, rpc_timeout=timedelta(seconds=5))).waiting:
                return
        except (WorkflowQueryFailedError, RPCTimeoutOrCancelledError, RPCError):
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise Unavailable("The run that should stay in flight does not get there.", dependency="temporal")
        await asyncio.sleep(POLL_SECONDS)


async def _events(client: Client, workflow_id: str, run_id: str) -> Events:
    history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
    return tuple((event.event_id, EventType.Name(event.event_type)) for event in history.events)


async def _answering(settings: Settings) -> None:
    """Wait until Temporal's frontend and namespace answer again."""
    end = time.monotonic() + BACK_SECONDS
    while (reached := await reach_temporal(settings.temporal)).client is None:
        if time.monotonic() > end:
            raise Unavailable(reached.finding.detail, dependency="temporal")
        await asyncio.sleep(POLL_SECONDS)


async def _land(client: Client, flight: Flight) -> Finding:
    name, begun = "run in flight", time.monotonic()
    handle = client.get_workflow_handle_for(Validation.run, flight.workflow_id)
    try:
        await _patiently(lambda: handle.signal(Validation.release, rpc_timeout=timedelta(seconds=CONNECT_SECONDS)))
        async with asyncio.timeout(FLIGHT_SECONDS):
            proof = await handle.result()
    except (WorkflowFailureError, RPCError, RPCTimeoutOrCancelledError, TimeoutError) as error:
        cause = str(error) or f"It did not finish within {FLIGHT_SECONDS:.0f} s."
        return Finding(name, "fail", cause, "Look at the logs of Temporal and of its database.")
    if not proof.held:
        return Finding(name, "fail", "It ended without waiting.", "Report this: the workflow itself is wrong.")
    detail = f"{flight.workflow_id} waited through the restart and finished, {len(proof.proven)} things proven"
    return Finding(name, "pass", detail, seconds=time.monotonic() - begun)


async def _patiently(ask: Callable[[], Awaitable[None]]) -> None:
    """A frontend that answers may still be finding its shards."""
    end = time.monotonic() + FLIGHT_SECONDS
    while True:
        try:
            return await ask()
        except (RPCError, RPCTimeoutOrCancelledError) as error:
            gone = isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND
            if gone or time.monotonic() > end:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def _compare(client: Client, flight: Flight) -> Finding:
    lost: list[str] = []
    for (workflow_id, run_id), events in flight.earlier.items():
        try:
            now = await _events(client, workflow_id, run_id)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            now = ()
        if now != events:
            lost.append(f"{workflow_id} ({len(now)} of {len(events)} events)")
    total = sum(len(events) for events in flight.earlier.values())
    if lost:
        remedy = "Temporal's store lost data: restore the backup, and check that it waits for the disk."
        return Finding("earlier histories", "fail", f"Changed or gone: {', '.join(lost)}", remedy)
    return Finding("earlier histories", "pass", f"{len(flight.earlier)} with {total} events, the same as before")
