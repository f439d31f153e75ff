"""How tasks come into the processes of Pavo: their kind, and their classes wired to what a process shares."""

import asyncio
import logging
import os
import socket
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from temporalio.client import Client

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.agents.confinement.confining import Confining, wanted_confinement
from pavo.agents.confinement.task_folders import TaskFolders
from pavo.agents.deaths import died_blocking
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.agent_loop import EXIT_STALLED, EXIT_UNKNOWN, STALL_SECONDS, AgentLoop, AtWork
from pavo.agents.hosts.code_watch import CodeWatch
from pavo.agents.hosts.lifecycle import tear_down
from pavo.agents.hosts.preloading import Preloading
from pavo.agents.importing import Imports
from pavo.agents.output import share_standard_streams
from pavo.agents.registry import AgentRegistry
from pavo.agents.signing.keys import SigningKeys
from pavo.artifacts.sweeping import keep_sweeping
from pavo.artifacts.wiring import artifact_folder, build_keeping
from pavo.config import AgentSettings, ExecutionSettings, HttpSettings, Settings, TemporalSettings, ToolSettings
from pavo.corpus.service import CorpusService
from pavo.kit.cancellation import KeptRunning, end
from pavo.kit.ids import new_id
from pavo.kit.sql import Database, KeptConnections
from pavo.llm.gateway.wiring import model_calls
from pavo.runs.kinds import ApiClients, Kind, KindAtWork, KindServed, WorkerClients
from pavo.runs.presence import Presence
from pavo.runs.subjects import SubjectRows
from pavo.tasks import domain as d
from pavo.tasks.commands import TaskCommands
from pavo.tasks.contracts import WORKFLOW_TYPE
from pavo.tasks.conversation import ConversationService, TaskGates
from pavo.tasks.edit import EditService
from pavo.tasks.gateway.bearers import TaskBearers
from pavo.tasks.gateway.relaying import WorkerGateways
from pavo.tasks.reconcile import TaskRows
from pavo.tasks.review import ReviewService
from pavo.tasks.service import TaskService
from pavo.tasks.sql import repository
from pavo.tasks.sql.admissions import count_end, waiting_for_agents
from pavo.tasks.sql.in_flight import in_flight
from pavo.tasks.sql.lease import epochs
from pavo.tasks.sql.request_statements import RequestStatements
from pavo.tasks.sql.stages import outcome_of, tasks_by_stage
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.use_cases import TaskUseCases
from pavo.tasks.waits.activities import TaskFamily
from pavo.tasks.waits.budget_gates import BudgetGates
from pavo.tasks.waits.follow_ups import FollowUps
from pavo.tasks.work.agent_activities import AgentWork, PlanWork
from pavo.tasks.work.attempt_runner import AttemptRunner
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.execution import BatchExecutor
from pavo.tasks.work.failures import failure_of
from pavo.tasks.work.folder_removal import keep_removing_folders
from pavo.tasks.work.handover import held_by
from pavo.tasks.work.hints import end_steps, listen_for_hints
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.log_writer import LogWriter
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.record_activities import TransitionRecorder
from pavo.tasks.work.slots.admission import Admission
from pavo.tasks.work.slots.parked import ParkedAgents, Slots
from pavo.tasks.work.slots.places import Places, WorkerPlaces
from pavo.tasks.work.slots.turns import Turns
from pavo.tasks.work.step_recorder import StepRecorder
from pavo.tasks.workflow import AgentTask
from pavo.temporal.queues import waiting_activities
from pavo.timeline.publish import Publisher
from pavo.tools.announced.announcement import tools_announcement
from pavo.tools.places import PLACES, keep_usable
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.wiring import WorkerTools, open_tools

logger = logging.getLogger(__name__)

COUNT_SECONDS: Final = 5.0
"""For the write that counts against whoever blocked the agents' loop: the worker ends after it."""

KIND: Final = Kind(
    "task",
    AgentTask,
    WORKFLOW_TYPE,
    d.task_of_workflow,
    in_flight=in_flight,
    end_steps=end_steps,
    subjects=SubjectRows("tasks", worker="agent_type"),
)


def routers() -> Sequence[Any]:
    """Tasks, and the contract of the frontends that exist."""
    from pavo.tasks.endpoints import router
    from pavo.tasks.legacy.endpoints import router as legacy

    return [router, legacy]


def task_commands(temporal: Client, redis: Redis, settings: TemporalSettings) -> TaskCommands:
    """What sends commands to the workflows of tasks."""
    presence = Presence(redis, temporal.namespace, settings.task_queue)
    return TaskCommands(temporal, settings.task_queue, presence, search_attributes=settings.search_attributes)


def task_service(clients: ApiClients | WorkerClients, connections: KeptConnections, agents: Imports) -> TaskService:
    """The use cases of a task's life, in any process."""
    commands = task_commands(clients.temporal, clients.redis, clients.settings.temporal)
    statements = RequestStatements(connections)
    return TaskService(clients.database, statements, clients.redis, clients.publisher, agents, commands)


async def task_stages(database: Database, task_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """In which stages these tasks are; deleted ones are left out."""
    async with database.reading() as session:
        return await repository.stages(session, task_ids)


async def task_outcome(database: Database, task_id: uuid.UUID) -> tuple[str, str | None, str | None]:
    """See `sql.stages.outcome_of`."""
    async with database.reading() as session:
        return await outcome_of(session, task_id)


async def served(clients: ApiClients) -> KindServed:
    """The use cases of tasks."""
    database, commands = clients.database, task_commands(clients.temporal, clients.redis, clients.settings.temporal)
    agents = Imports(AgentRegistry.load())
    tasks = task_service(clients, clients.connections, agents)
    review = ReviewService(database, clients.publisher, commands)
    edit = EditService(database, clients.publisher, agents)
    conversation = ConversationService(database, clients.publisher, FollowUps(database, commands))
    gates, bearers = TaskGates(tasks, commands), TaskBearers(database, clients.publisher)
    services = TaskUseCases(tasks, review, conversation, edit, gates, bearers, BudgetGates(database, commands))
    rows = TaskRows(database, clients.publisher)
    return KindServed(KIND, services, rows, partial(tasks_by_stage, database), tasks.owners)


def _second_line(database: Database, commands: TaskCommands) -> tuple[FollowUps, BudgetGates]:
    return FollowUps(database, commands), BudgetGates(database, commands)


async def at_work(clients: WorkerClients) -> KindAtWork:
    """Agents on an event loop of their own, with the commits of their steps; the short writes on Temporal's."""
    loop = AgentLoop(on_stall=_Stalled(asyncio.get_running_loop(), clients.database).end)
    loop.start()
    clients.closing.push_async_callback(asyncio.to_thread, loop.stop)
    settings, registry = clients.settings, AgentRegistry.load()
    version = (settings.execution.deployment, settings.execution.build_id)
    queued = partial(waiting_activities, clients.temporal, settings.temporal.task_queue, version)
    room = _Room(settings.execution, queued, loop)
    tools = open_tools(settings.tools)
    clients.closing.push_async_callback(asyncio.to_thread, tools.close)
    agents = await loop.run_on_agents_thread(lambda: _open_agents(clients, registry, room, tools))
    clients.closing.push_async_callback(loop.run_on_agents_thread, agents.close)
    clients.closing.push_async_callback(end, asyncio.ensure_future(room.turns.watch()))
    word = operators_word(settings.tools)
    commands = task_commands(clients.temporal, clients.redis, clients.settings.temporal)
    family = TaskFamily(clients.database, commands)
    runner = AttemptRunner(loop, agents.admission, agents.freed)
    return KindAtWork(
        KIND,
        long=[AgentWork(runner, room.turns, room.tasks, agents.planner, agents.executor)],
        plans=[PlanWork(runner, room.plans, agents.planner)],
        short=[TransitionRecorder(clients.database, clients.publisher), family],
        rows=TaskRows(clients.database, clients.publisher, family, *_second_line(clients.database, commands)),
        held_by=partial(held_by, clients.database),
        move_on=partial(loop.call_soon, agents.attempts.move_on),
        waiting=lambda: waiting_for_agents(clients.database, registry.names()),
        has={"tools": partial(tools_announcement, settings.execution.build_id or None, tools.registry, word)},
    )


class _Room:
    """The places of this worker, and whose turn it is to have them."""

    def __init__(self, settings: ExecutionSettings, queued: Callable[[], Awaitable[int]], loop: AgentLoop) -> None:
        self.tasks = Places(settings.max_tasks)
        self.plans = Places(settings.max_plans or settings.max_tasks, "plans")
        self.in_all = WorkerPlaces(settings.max_activities) if settings.max_activities else None
        slots = min(settings.max_tasks, settings.max_activities or settings.max_tasks)
        self.turns = Turns(slots, settings.turn_seconds, queued, self._waiting, loop)

    def _waiting(self) -> int:
        """How many wait for what an attempt that executes gives up: where plans share it, they do too."""
        return self.tasks.waiting() + (self.in_all.waiting() if self.in_all is not None else 0)


class _Stalled:
    """The agents' loop hangs: the worker ends, so that others go on with what it holds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, database: Database) -> None:
        self._loop = loop
        self._database = database

    def end(self, agent: AtWork | None) -> None:
        """End the process, on the watchdog's thread.

        Before, it is counted against the task whose agent it was. Where that is not known, or cannot be written, the
        exit code leaves all under suspicion that ran inside.
        """
        code = EXIT_UNKNOWN
        if agent is not None:
            told = failure_of(died_blocking(agent.silence_seconds or STALL_SECONDS)).told()
            counting = count_end(self._database, uuid.UUID(agent.task_id), _holder(), told, certain=True)
            try:
                asyncio.run_coroutine_threadsafe(counting, self._loop).result(COUNT_SECONDS)
                code = EXIT_STALLED
            except Exception:
                logger.exception("That %s blocked the agents' event loop could not be noted.", agent.label)
        os._exit(code)


def _holder() -> str:
    """How the names of this process's leases begin: by that a successor finds what it has held."""
    return f"{socket.gethostname()}:{os.getpid()}:"


def gateway_url(settings: Settings) -> str:
    """Where agents of this worker find the gateway."""
    if settings.llm.gateway_url:
        return settings.llm.gateway_url.rstrip("/")
    host = settings.http.host if settings.http.host not in ("", "0.0.0.0", "::") else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http.port}/llm/v1"


def confining_of(settings: AgentSettings, *private: Path | None) -> Confining:
    """How a worker with these settings confines isolated agents, none of whom reads what is private."""
    wanted, root = wanted_confinement(settings)
    wanted = replace(wanted, private=(*wanted.private, *(str(each.absolute()) for each in private if each)))
    return Confining(TaskFolders(root), wanted)


def operators_word(settings: ToolSettings) -> OperatorsWord:
    """What the operator says of tools."""
    pairs: Any = [pair.strip().partition("=") for pair in settings.effects.split(",") if pair.strip()]
    return OperatorsWord(settings.unsafe, {tool: effect for tool, _, effect in pairs})


def signing_keys(settings: HttpSettings) -> SigningKeys:
    """The keys for what agents have signed: the deployment's secret key, where this worker has it."""
    return SigningKeys([settings.secret_key.get_secret_value().encode()] if settings.secret_key is not None else [])


class _Agents:
    """What lives on the agents' loop."""

    def __init__(self, clients: WorkerClients, registry: AgentRegistry, room: _Room, tools: WorkerTools) -> None:
        settings = clients.settings.execution
        self._database, self._redis = clients.new_database(), clients.new_redis()
        self._publisher = Publisher(self._redis)
        self._recorder = StepRecorder(self._database, self._publisher)
        self.attempts = attempts = Attempts()
        limits = HostLimits(memory_mb=settings.agent_memory_mb, silence_seconds=settings.agent_silence_seconds)
        self._close_seconds = limits.close_seconds
        corpus = CorpusService(self._database)
        own = clients.settings.agents
        self._preloading = Preloading(memory_mb=limits.memory_mb, start_seconds=limits.start_seconds, named=own.names)
        self._confining = confining_of(own, artifact_folder(clients.settings))
        self._confining.begin()
        self._preloading.begin_when_described(registry)
        self._logs = LogWriter(self._database)
        parts = (self._database, self._publisher, registry, corpus, limits)
        self._keeping = build_keeping(clients.settings)
        secrets = SecretService(self._database, KeyRing.of(clients.settings.sealing))
        self._models = model_calls(self._database, clients.settings)
        beside = (self._preloading, self._logs, CodeWatch(clients.begin_anew), self._confining)
        word, url = operators_word(clients.settings.tools), gateway_url(clients.settings)
        keys = signing_keys(clients.settings.http)
        self._gateways = gateways = WorkerGateways(self._redis)
        hosting = Hosting(*parts, *beside, tools, word, secrets, self._keeping, self._models, url, keys, gateways)
        self._connections = clients.keep(self._database)
        writer = TaskWriter(self._connections, self._database, f"{_holder()}{new_id()}", registry.codes)
        self.freed: deque[str] = deque()
        self.admission = Admission(writer, self._publisher, registry, self.freed.append, in_all=room.in_all)
        self.planner = Planner(hosting, writer, attempts)
        self._parked = ParkedAgents(settings.parked_agents, partial(epochs, self._database), attempts.runs)
        slots = Slots(room.turns, self._parked)
        self.executor = BatchExecutor(hosting, writer, self._recorder, attempts, slots, settings.progress_steps)
        self._begin_anew = clients.begin_anew
        self._publisher.start()
        self._recorder.start()
        self._logs.start()
        share_standard_streams()
        self._beside = self._running()

    def _running(self) -> Sequence[KeptRunning]:
        """What runs beside the agents."""
        running = [
            KeptRunning(lambda: listen_for_hints(self._redis, self.attempts), "hints"),
            KeptRunning(lambda: keep_removing_folders(self._database, self._confining.folders), "folder-removal"),
            KeptRunning(self._parked.watch, "parked-agents"),
            KeptRunning(self._gateways.run, "gateways"),
            KeptRunning(partial(keep_usable, PLACES, self._begin_anew), "places-of-tools"),
        ]
        if self._keeping is not None:
            running.append(KeptRunning(partial(keep_sweeping, self._database, self._keeping.store), "artifacts"))
        return running

    async def close(self) -> None:
        """Close in order: first what writes, then what it writes to."""
        for each in self._beside:
            await each.end()
        await self._parked.close()
        await tear_down(self._close_seconds)
        await self._confining.close()
        await self._preloading.close()
        await self._recorder.close()
        await self._logs.close()
        await self._models.close()
        await self._connections.close()
        await self._publisher.close()
        await self._redis.aclose()
        await self._database.close()


async def _open_agents(clients: WorkerClients, registry: AgentRegistry, room: _Room, tools: WorkerTools) -> _Agents:
    return _Agents(clients, registry, room, tools)
