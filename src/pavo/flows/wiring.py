"""How flows come into the processes of Pavo: their kind, and their classes wired to what a process shares."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis
from temporalio.client import Client

from pavo.config import TemporalSettings
from pavo.flows.ledger import due
from pavo.flows.temporal.commands import FlowCommands
from pavo.flows.temporal.contracts import NOUN, WORKFLOW_TYPE, run_of_workflow
from pavo.flows.temporal.reconcile import FlowRows
from pavo.flows.temporal.watching import RunWatch
from pavo.flows.temporal.workflow import FlowRun
from pavo.kit.cancellation import KeptRunning
from pavo.runs.kinds import ApiClients, Kind, KindAtWork, KindServed, WorkerClients
from pavo.runs.presence import Presence
from pavo.runs.reconcile import Reconciler
from pavo.runs.subjects import SubjectRows

if TYPE_CHECKING:
    from pavo.flows.published.starting import RunStarts
    from pavo.flows.runs import RunService

KIND: Final = Kind(
    NOUN,
    FlowRun,
    WORKFLOW_TYPE,
    run_of_workflow,
    subjects=SubjectRows(
        "flow_runs",
        worker="flow",
        title="flow",
        failed="state = 'failed'",
        failed_since="coalesce(ended_at, created_at)",
        cause="error",
    ),
)


def routers() -> Sequence[Any]:
    """The endpoints of flows."""
    from pavo.flows.endpoints import router as flows
    from pavo.flows.requests.doctor import router as doctor
    from pavo.flows.requests.generated import router as generated
    from pavo.flows.requests.published import router as published
    from pavo.flows.requests.runs import router as runs
    from pavo.flows.templates.endpoints import router as templates

    return [flows, doctor, generated, published, runs, templates]


def flow_commands(temporal: Client, redis: Redis, settings: TemporalSettings) -> FlowCommands:
    """What starts and tells the workflows of runs."""
    return FlowCommands(temporal, settings.task_queue, Presence(redis, temporal.namespace, settings.task_queue))


def flow_runs(clients: ApiClients | WorkerClients) -> "tuple[RunStarts, RunService]":
    """What begins runs of published versions, and what is done with them, in any process."""
    from pavo.flows.use_cases import flow_use_cases

    commands = flow_commands(clients.temporal, clients.redis, clients.settings.temporal)
    services = flow_use_cases(clients.database, clients.settings, clients.closing, commands.hurry)
    return services.starts, services.runs


async def served(clients: ApiClients) -> KindServed:
    """The use cases of flows."""
    from pavo.flows.doctoring.doctor import FlowDoctor
    from pavo.flows.use_cases import flow_use_cases  # here, for a worker has no use for what they import

    database = clients.database
    commands = flow_commands(clients.temporal, clients.redis, clients.settings.temporal)

    async def census() -> Mapping[str, int]:
        async with database.reading() as session:
            return await due.census(session)

    async def owners(run_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        async with database.reading() as session:
            return await due.owners(session, run_ids)

    rows = FlowRows(database)
    doctor = FlowDoctor(database, KIND, rows, Reconciler([(KIND, rows)], clients.temporal), commands)
    services = flow_use_cases(database, clients.settings, clients.closing, commands.hurry)
    return KindServed(KIND, replace(services, doctor=doctor), rows, census, owners)


async def at_work(clients: WorkerClients) -> KindAtWork:
    """Attempts at steps, the short transactions between them, the local engine, and the watch over runs that nobody was
    told of."""
    # Here, for they are what an API has no use for: the expressions' process, and the tools.
    from pavo.flows.attempts import Timed
    from pavo.flows.awaited.children import ChildRuns
    from pavo.flows.awaited.steps import StepsWithWork
    from pavo.flows.awaited.watching import WorkWatch
    from pavo.flows.expressions.evaluating import Evaluator
    from pavo.flows.local.wiring import local_steps, serving
    from pavo.flows.temporal.accounts import Accounts
    from pavo.flows.temporal.advancing import RunAdvancing
    from pavo.flows.temporal.attempting import StepAttempts
    from pavo.tools.wiring import open_tools
    from pavo.works.wiring import works

    tools, evaluator = open_tools(clients.settings.tools), Evaluator()
    clients.closing.push_async_callback(asyncio.to_thread, tools.close)
    clients.closing.push_async_callback(asyncio.to_thread, evaluator.close)
    steps = local_steps(clients.database, clients.settings, tools)
    commands = flow_commands(clients.temporal, clients.redis, clients.settings.temporal)
    watch = RunWatch(clients.database, commands)
    clients.closing.push_async_callback(KeptRunning(watch.run, "runs-of-flows").end)

    async def held_by(_: str) -> Sequence[str]:
        return []

    connections = clients.keep(clients.database)
    clients.closing.push_async_callback(connections.close)
    others, publish = works(clients, connections), clients.publisher.publish
    awaiting = WorkWatch(clients.database, others, commands.hurry, publish)
    clients.closing.push_async_callback(KeptRunning(awaiting.run, "work-of-flows").end)
    children = ChildRuns(clients.database, commands.hurry, publish)
    with_work = Timed(StepsWithWork(clients.database, steps, others, children))
    accounts = Accounts(with_work, evaluator)
    attempts = StepAttempts(clients.database, with_work, accounts, publish)
    advancing, rows = RunAdvancing(clients.database, accounts, publish), FlowRows(clients.database)
    local = [serving(clients, tools, lambda here: StepsWithWork(clients.database, here, {}, children))]
    return KindAtWork(KIND, long=[attempts], short=[advancing], rows=rows, held_by=held_by, beside=local)
