"""Draining: what stays with other versions of the workers is woken and waited for, and what holds it up is told."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.service import RPCError

from pavo.deploy.model.progress import Say
from pavo.deploy.rollout.worker_versions import describe, ramp, runs_of, set_current, wake
from pavo.errors import Unavailable
from pavo.kit.sql import Database
from pavo.kit.subscription import REDIS_AWAY
from pavo.runs.kinds import InFlight, Kind

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 2.0
"""Until it is told what has not moved, and between two looks at it: what takes less is no long step."""
MOST_TOLD: Final = 100
"""Runs at most that are looked at and told one by one."""


@dataclass(frozen=True, slots=True)
class Drained:
    """How the draining ended."""

    left: dict[str, int]
    """Open runs that are still pinned to other versions, by build id; empty when all moved."""
    woken: int
    seconds: float
    held_up: tuple[InFlight, ...] = ()
    """What is under way in those that are left, as far as that was looked at."""


class LongSteps:
    """Tells which runs are in a long step while their move is waited for, and has those steps end if that is wanted.

    Planning is waited for in any case: it would begin from scratch.

    Args:
        end: whether steps are ended, to be repeated elsewhere from the checkpoint before.
    """

    def __init__(self, kinds: Sequence[Kind], database: Database, redis: Redis, say: Say, *, end: bool) -> None:
        self._kinds = kinds
        self._database = database
        self._redis = redis
        self._say = say
        self._end = end
        self._told: set[uuid.UUID] = set()

    async def look(self, client: Client, name: str, behind: Iterable[str]) -> tuple[InFlight, ...]:
        """Tell what is under way in the runs of these builds, each once; where that cannot be known, nothing."""
        found: list[InFlight] = []
        try:
            for build_id in behind:
                ids = [workflow_id for workflow_id, _ in await runs_of(client, name, build_id)]
                for kind in self._kinds:
                    mine = [each for each in ids if kind.subject_of(each) is not None][:MOST_TOLD]
                    if kind.in_flight is not None and mine:
                        seen = await kind.in_flight(self._database, mine)
                        self._tell(seen)
                        found += seen
                        await self._end_steps(client, kind, build_id, seen)
        except (Unavailable, RPCError, *REDIS_AWAY) as error:
            logger.info("What is under way cannot be told: %s", error)
        return tuple(found)

    def _tell(self, found: Sequence[InFlight]) -> None:
        for each in found:
            if each.subject_id not in self._told:
                self._told.add(each.subject_id)
                ended = self._end and each.doing == "step"
                what = "its step is ended, and repeated elsewhere" if ended else "it is waited for"
                self._say(f"{described(each)}: {what}.")

    async def _end_steps(self, client: Client, kind: Kind, build_id: str, found: Sequence[InFlight]) -> None:
        if not self._end or kind.end_steps is None:
            return
        # Visibility is behind: what runs on the current build already must not be disturbed.
        still = [each.subject_id for each in found if each.doing == "step" and await _is_with(client, each, build_id)]
        await kind.end_steps(self._redis, still)


async def _is_with(client: Client, run: InFlight, build_id: str) -> bool:
    described_run = await client.get_workflow_handle(run.workflow_id).describe()
    return described_run.raw_info.versioning_info.deployment_version.build_id == build_id


def described(run: InFlight) -> str:
    """One line, for people."""
    doing = {"step": f"in the step after checkpoint {run.checkpoints}", "waiting": "waiting for a place"}
    about = f", plan step {run.plan_step}" if run.plan_step is not None and run.doing == "step" else ""
    since = f", since {run.since.astimezone():%H:%M:%S}" if run.since is not None else ""
    named = f"{run.noun.capitalize()} {run.subject_id}, {run.title!r} ({run.agent})"
    return f"{named}, is {doing.get(run.doing, run.doing)}{about}{since}"


async def drain(
    client: Client,
    name: str,
    task_queue: str,
    *,
    seconds: float = 120.0,
    on_progress: Callable[[dict[str, int]], None] = lambda _left: None,
    long_steps: LongSteps | None = None,
) -> Drained:
    """Wake what is pinned to other versions and wait until it moved on, or the time is over.

    Workers of the old versions must run until then: a run ends on the version on which it began.
    """
    begun, told, next_look = time.monotonic(), -1, LOOK_SECONDS
    woken, held_up = await wake(client, name, task_queue), ()
    while True:
        left = (await describe(client, name, task_queue)).behind
        if sum(left.values()) != told:
            told = sum(left.values())
            on_progress(left)
        spent = time.monotonic() - begun
        over = not left or spent > seconds
        if long_steps is not None and left and (over or spent >= next_look):
            held_up, next_look = await long_steps.look(client, name, left), spent + LOOK_SECONDS
        if over:
            return Drained(left, woken, spent, held_up if left else ())
        await asyncio.sleep(POLL_SECONDS)


async def rollback(
    client: Client,
    name: str,
    build_id: str,
    task_queue: str,
    *,
    seconds: float = 120.0,
    long_steps: LongSteps | None = None,
) -> Drained:
    """Make an older version current again and bring back what moved on meanwhile; errors as in `set_current`.

    Its workers must still run. A ramp is ended.
    """
    deployment = await describe(client, name, task_queue)
    if deployment.ramping:
        await ramp(client, name, deployment.ramping, 0, task_queue)
    await set_current(client, name, build_id, task_queue)
    return await drain(client, name, task_queue, seconds=seconds, long_steps=long_steps)
