"""Kinds of durable work, and how a slice brings its own to the processes of Pavo.

A slice's module `wiring` satisfies `Slice`. The composition root loops over the slices; nothing else names them.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from pydantic import BaseModel
from redis.asyncio import Redis
from temporalio.client import Client

from pavo.accounts.standing import Owners
from pavo.config import Settings
from pavo.kit.sql import Database, KeptConnections
from pavo.runs.fence import Fence
from pavo.runs.probe_workflow import PROBE_TYPE, Probe
from pavo.runs.reconcile_workflow import RECONCILE_TYPE, ReconcileRuns
from pavo.runs.subjects import SubjectRows, Subjects
from pavo.temporal.ids import workflow_ids
from pavo.timeline.follow import Follower
from pavo.timeline.publish import Publisher

PASSING: Final[Mapping[str, type]] = {RECONCILE_TYPE: ReconcileRuns, PROBE_TYPE: Probe}
"""Workflows of Pavo's own that end within seconds, by type: no rollout waits for them."""

FORMER_RECONCILE_TYPE: Final = "ReconcileTasks"
"""The type that rounds of reconciliation had before; one that an older worker began passes as well."""


@dataclass(frozen=True, slots=True)
class Periodic:
    """A workflow that a schedule of Temporal starts again and again, one at a time."""

    name: str
    """The schedule's id is this and the task queue: each task queue has its own."""
    workflow: type[Any]
    """Its run method takes no argument."""
    every: timedelta


@dataclass(frozen=True, slots=True)
class InFlight:
    """What is under way in a run: it moves to other workers when that has ended."""

    noun: str
    """Of the run's kind."""
    subject_id: uuid.UUID
    workflow_id: str
    title: str
    agent: str
    doing: str
    """step, planning or waiting."""
    checkpoints: int
    """How many are recorded."""
    plan_step: int | None
    """Number of the plan's step that the last of them was about, where the agent says so."""
    since: datetime | None
    """When something of it was recorded last."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of durable work. Its workflow takes the signal `move_on`, and its writes carry fences."""

    noun: str
    """What people call one of them, in the singular: `task`. It names metrics, ids in log lines and checks."""
    workflow: type[Any]
    """The workflow of a run."""
    type_name: str
    """Under which that is registered."""
    subject_of: Callable[[str], str | None]
    """The id of the row whose run has this workflow id; None for other workflows."""
    helpers: Sequence[type] = ()
    """Further workflow classes of the slice; they take the signal `move_on` too, for a rollout sends it to all."""
    periodic: Sequence[Periodic] = ()
    """Their workflows end within seconds, or take the signal `move_on`."""
    in_flight: Callable[[Database, Sequence[str]], Awaitable[Sequence[InFlight]]] | None = None
    """What is under way in the runs with these workflow ids; what waits for a person is left out."""
    end_steps: Callable[[Redis, Sequence[uuid.UUID]], Awaitable[None]] | None = None
    """Have the steps that these subjects are in end, cut after their grace: the next attempt goes on from the
    checkpoint before. Counts as no failure."""
    subjects: SubjectRows | None = None
    """How its rows are read where people look at those of all kinds; None: nobody is asked about them."""


@dataclass(frozen=True, slots=True)
class RunningRow:
    """A row that says that its run is open."""

    subject_id: uuid.UUID
    workflow_id: str
    stage: str
    next: Fence
    """The number of a write in the place of a run that is gone, provided that nothing was written meanwhile."""


class Rows(Protocol):
    """The rows of a kind, as the second line reads and explains them."""

    def running(self, age: timedelta) -> AsyncIterator[RunningRow]:
        """Those that say they run and were not written for this long."""
        ...

    async def explain(self, row: RunningRow, cause: str, remedy: str) -> bool:
        """Show that the run is lost, unless the row has moved on meanwhile; whether it was shown."""
        ...

    async def go_on(self) -> None:
        """Go on with what the kind has left to a later round, such as removals that died half-way."""
        ...


class Beside(Protocol):
    """Work of a worker process that Temporal does not hand out."""

    def start(self) -> None:
        """Begin, once the worker is ready."""
        ...

    async def close(self) -> None:
        """Take nothing more, give what is under way a moment, and give up the rest; also where it was not begun."""
        ...


@dataclass(frozen=True, slots=True)
class KindAtWork:
    """A kind in a worker process."""

    kind: Kind
    long: Sequence[object]
    """Instances whose activities run for long, in the slots of `PAVO_WORKER_TASKS`."""
    short: Sequence[object]
    """Instances whose activities are short writes: inside workflow tasks, and in slots of their own."""
    rows: Rows
    held_by: Callable[[str], Awaitable[Sequence[str]]]
    """Ids of the workflows whose attempts a worker may hold, by the beginning of its leases' holder."""
    move_on: Callable[[], None] = lambda: None
    """Have long activities end where nothing is lost, so that their runs continue as new on another build."""
    waiting: Callable[[], Awaitable[Sequence[str]]] | None = None
    """Ids of the workflows that were waiting for what this worker has: it wakes them when it begins."""
    plans: Sequence[object] = ()
    """Instances whose activities plan, in the slots of `PAVO_WORKER_PLANS`."""
    has: Mapping[str, Callable[[], BaseModel]] = field(default_factory=dict[str, Callable[[], BaseModel]])
    """What this worker has, by a noun, as it tells the API (`agents/announced`); it may change."""
    beside: Sequence[Beside] = ()
    """What it does without being asked by Temporal; it ends together with the activities."""


@dataclass(frozen=True, slots=True)
class KindServed:
    """A kind in an API process."""

    kind: Kind
    services: object
    """The use cases that its endpoints call; on the application as `app.state.services[noun]`."""
    rows: Rows
    census: Callable[[], Awaitable[Mapping[str, int]]]
    """How many there are in each stage; stages without any at 0."""
    owners: Owners
    """Whose they are now; what is watched asks this again and again."""
    measure: Callable[[], Awaitable[None]] | None = None
    """Sets the kind's own gauges, whenever somebody asks for metrics."""


@dataclass(frozen=True, slots=True)
class WorkerClients:
    """What the slices of a worker process share; what they open they push onto `closing`."""

    settings: Settings
    database: Database
    redis: Redis
    temporal: Client
    publisher: Publisher
    closing: AsyncExitStack
    new_database: Callable[[], Database]
    """Clients belong to one event loop: another loop needs its own."""
    new_redis: Callable[[], Redis]
    keep: Callable[[Database], KeptConnections]
    """A part of a pool's connections, kept for the statements that run all the time."""
    begin_anew: Callable[[], None]
    """Has this worker end in order and begin anew, with the code that is on disk; from any thread, also repeatedly."""


@dataclass(frozen=True, slots=True)
class ApiClients:
    """What the slices of an API process share."""

    settings: Settings
    database: Database
    connections: KeptConnections
    redis: Redis
    temporal: Client
    publisher: Publisher
    follower: Follower
    closing: AsyncExitStack


class Slice(Protocol):
    """A slice's module `wiring`."""

    @property
    def KIND(self) -> Kind:  # noqa: N802 - a constant of the module
        """The kind that it brings."""
        ...

    def routers(self) -> Sequence[Any]:
        """The FastAPI routers of its endpoints; imported here, for a worker has no web framework."""
        ...

    async def at_work(self, clients: WorkerClients) -> KindAtWork:
        """Wire it for a worker process."""
        ...

    async def served(self, clients: ApiClients) -> KindServed:
        """Wire it for an API process."""
        ...


def subjects_of(kinds: Sequence[Kind]) -> Subjects:
    """The rows of these kinds as one."""
    return Subjects({kind.noun: kind.subjects for kind in kinds if kind.subjects is not None})


def workflows_of(kinds: Sequence[Kind]) -> list[type]:
    """Every workflow class that a worker runs."""
    brought = [each for kind in kinds for each in (kind.workflow, *kind.helpers, *(p.workflow for p in kind.periodic))]
    return [*dict.fromkeys(brought), *PASSING.values()]


def ids_of(kinds: Sequence[Kind]) -> Mapping[str, str]:
    """The ids of what the running workflow or activity works for, for log lines."""
    found = workflow_ids()
    for kind in kinds if found else ():
        subject = kind.subject_of(found["workflow_id"])
        if subject is not None:
            return {**found, f"{kind.noun}_id": subject}
    return found
