"""Replaying the open histories on this build, sandboxed: what would break at a rollout is named beforehand."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.client import Client, WorkflowExecution, WorkflowHistory
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from pavo.deploy.model.findings import Finding
from pavo.temporal.sandbox import Sandbox

NAME = "open histories"
FETCHED_AHEAD = 8
NAMED = 20
"""So many that would break get a line of their own."""
RPC_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Broken:
    """An open workflow that this build cannot go on with."""

    workflow_id: str
    run_id: str
    workflow_type: str
    why: str
    pinned_to: str
    """`deployment:build` of the workers that it stays with; empty when any worker may take it."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """How the replays went."""

    looked_at: int
    open: int
    """How many there were when it began."""
    broken: tuple[Broken, ...]


async def replay_open(client: Client, task_queue: str, workflows: Sequence[type], *, limit: int) -> Replayed:
    """Replay the open workflows of a task queue, at most `limit`, on the given workflow classes.

    Raises:
        RPCError: Temporal does not answer.
    """
    query = f"TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'"
    count = (await client.count_workflows(query, rpc_timeout=RPC_TIMEOUT)).count
    found = [each async for each in client.list_workflows(query, limit=limit, rpc_timeout=RPC_TIMEOUT)]
    by_run = {each.run_id: each for each in found}
    replayer = Replayer(
        workflows=workflows,
        workflow_runner=Sandbox(),
        data_converter=client.data_converter,
        namespace=client.namespace,
        runtime=Runtime(telemetry=TelemetryConfig(logging=None)),  # what breaks is said once, by us
    )
    broken: list[Broken] = []
    looked_at = 0
    async with replayer.workflow_replay_iterator(_histories(client, found)) as results:
        async for result in results:
            looked_at += 1
            if result.replay_failure is not None:
                broken.append(await _broken(client, by_run[result.history.run_id], result.replay_failure))
    return Replayed(looked_at, count, tuple(broken))


async def _histories(client: Client, found: Sequence[WorkflowExecution]) -> AsyncIterator[WorkflowHistory]:
    """Each history; what ended and was removed meanwhile is passed over."""
    for first in range(0, len(found), FETCHED_AHEAD):
        for history in await asyncio.gather(*(_history(client, e) for e in found[first : first + FETCHED_AHEAD])):
            if history is not None:
                yield history


async def _history(client: Client, execution: WorkflowExecution) -> WorkflowHistory | None:
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    try:
        return await handle.fetch_history(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _broken(client: Client, execution: WorkflowExecution, failure: Exception) -> Broken:
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    info = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).raw_info.versioning_info
    pinned = info.behavior == VersioningBehavior.VERSIONING_BEHAVIOR_PINNED
    version = info.deployment_version
    return Broken(
        execution.id,
        execution.run_id,
        execution.workflow_type,
        _why(str(failure)),
        f"{version.deployment_name}:{version.build_id}" if pinned else "",
    )


def _why(said: str) -> str:
    """The sentence for people out of the SDK's nested message."""
    inner = re.search(r'message: "(.*?)(?:\\n|", )', said, re.DOTALL)
    return " ".join((inner.group(1) if inner else said).split())[:300]


def findings(replayed: Replayed, *, version: str, accept_breaking: bool) -> list[Finding]:
    """A line for all, and one for each that would break; pinned ones only warn, for their workers go on with them.

    Args:
        version: `deployment:build` of the workers that are rolled out; empty when they have none.
        accept_breaking: warn only.
    """
    found: list[Finding] = []
    for broken in replayed.broken[:NAMED]:
        stays = bool(version) and broken.pinned_to not in ("", version)
        detail = f"{broken.workflow_id} ({broken.workflow_type}) breaks: {broken.why}"
        remedy = (
            f"It stays with {broken.pinned_to}: keep these workers until it has moved on (pavo deploy workers --drain)."
            if stays
            else "Make the change behind workflow.patched(), give the workers a new PAVO_WORKER_BUILD_ID, let it end "
            "before the rollout, or pass --accept-breaking."
        )
        found.append(Finding(NAME, "warn" if stays or accept_breaking else "fail", detail, remedy))
    more = len(replayed.broken) - NAMED
    if more > 0:
        found.append(Finding(NAME, "warn" if accept_breaking else "fail", f"{more} others break", "See -o json."))
    return [*found, _summary(replayed)]


def _summary(replayed: Replayed) -> Finding:
    left = replayed.open - replayed.looked_at
    good = replayed.looked_at - len(replayed.broken)
    detail = f"{good} of {replayed.looked_at} replay on this build"
    if left > 0 and replayed.looked_at < replayed.open:
        return Finding(NAME, "warn", f"{detail}; {left} more were not looked at", f"Pass --limit {replayed.open}.")
    return Finding(NAME, "pass", detail)
