"""How tasks come into the processes of Pavo: their kind, and their classes wired to what a process shares."""

import asyncio
import os
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.agents.hosts.code_watch import CodeWatch
from pavo.agents.hosts.preloading import Preloading
from pavo.agents.output import share_standard_streams
from pavo.agents.registry import AgentRegistry
from pavo.corpus.service import CorpusService
from pavo.kit.cancellation import end
from pavo.kit.ids import new_id
from pavo.runs.kinds import ApiClients, Kind, KindAtWork, KindServed, WorkerClients
from pavo.runs.presence import Presence
from pavo.tasks import domain as d
from pavo.tasks.commands import TaskCommands
from pavo.tasks.contracts import WORKFLOW_TYPE
from pavo.tasks.conversation import ConversationService
from pavo.tasks.edit import EditService
from pavo.tasks.reconcile import TaskRows
from pavo.tasks.review import ReviewService
from pavo.tasks.service import TaskService
from pavo.tasks.sql.request_statements import RequestStatements
from pavo.tasks.sql.stage_counts import tasks_by_stage
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.use_cases import TaskUseCases
from pavo.tasks.work.agent_activities import AgentWork
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.execution import BatchExecutor
from pavo.tasks.work.handover import held_by
from pavo.tasks.work.hints import listen_for_hints
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.log_writer import LogWriter
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.record_activities import TransitionRecorder
from pavo.tasks.work.step_recorder import StepRecorder
from pavo.tasks.work.turns import Turns
from pavo.tasks.workflow import AgentTask
from pavo.temporal.queues import waiting_activities
from pavo.timeline.publish import Publisher

KIND: Final = Kind("task", AgentTask, WORKFLOW_TYPE, d.task_of_workflow)


def routers() -> Sequence[Any]:
    """Tasks, and the contract of the frontends that exist."""
    from pavo.tasks.endpoints import router
    from pavo.tasks.legacy.endpoints import router as legacy

    return [router, legacy]


async def served(clients: ApiClients) -> KindServed:
    """The use cases of tasks."""
    temporal, database = clients.settings.temporal, clients.database
    commands = TaskCommands(
        clients.temporal,
        temporal.task_queue,
        Presence(clients.redis, clients.temporal.namespace, temporal.task_queue),
        search_attributes=temporal.search_attributes,
    )
    statements, registry = RequestStatements(clients.connections), AgentRegistry.load()
    tasks = TaskService(database, statements, clients.redis, clients.publisher, registry, commands)
    review = ReviewService(database, clients.publisher, commands)
    edit = EditService(database, clients.publisher, registry)
    services = TaskUseCases(tasks, review, ConversationService(database, clients.publisher), edit)
    rows = TaskRows(database, clients.publisher)
    return KindServed(KIND, services, rows, partial(tasks_by_stage, database))


async def at_work(clients: WorkerClients) -> KindAtWork:
    """Agents on an event loop of their own, with the commits of their steps; the short writes on Temporal's."""
    loop = AgentLoop()
    loop.start()
    clients.closing.push_async_callback(asyncio.to_thread, loop.stop)
    settings = clients.settings
    version = (settings.execution.deployment, settings.execution.build_id)
    waiting = partial(waiting_activities, clients.temporal, settings.temporal.task_queue, version)
    turns = Turns(settings.execution.max_tasks, settings.execution.turn_seconds, waiting, loop)
    agents = await loop.run_on_agents_thread(lambda: _open_agents(clients, turns))
    clients.closing.push_async_callback(loop.run_on_agents_thread, agents.close)
    clients.closing.push_async_callback(end, asyncio.ensure_future(turns.watch()))
    return KindAtWork(
        KIND,
        long=[AgentWork(loop, turns, agents.planner, agents.executor)],
        short=[TransitionRecorder(clients.database, clients.publisher)],
        rows=TaskRows(clients.database, clients.publisher),
        held_by=partial(held_by, clients.database),
        move_on=partial(loop.call_soon, agents.attempts.move_on),
    )


class _Agents:
    """What lives on the agents' loop."""

    def __init__(self, clients: WorkerClients, turns: Turns) -> None:
        settings = clients.settings.execution
        self._database, self._redis = clients.new_database(), clients.new_redis()
        self._publisher = Publisher(self._redis)
        self._recorder = StepRecorder(self._database, self._publisher)
        self.attempts = attempts = Attempts()
        limits = HostLimits(memory_mb=settings.agent_memory_mb, silence_seconds=settings.agent_silence_seconds)
        registry, corpus = AgentRegistry.load(), CorpusService(self._database)
        self._preloading = Preloading(memory_mb=limits.memory_mb, start_seconds=limits.start_seconds)
        self._preloading.begin_when_described(registry)
        self._logs = LogWriter(self._database)
        parts = (self._database, self._publisher, registry, corpus, limits)
        hosting = Hosting(*parts, self._preloading, self._logs, CodeWatch(clients.begin_anew))
        self._connections = clients.keep(self._database)
        # By the beginning a successor finds what a dead process has held.
        writer = TaskWriter(self._connections, self._database, f"{socket.gethostname()}:{os.getpid()}:{new_id()}")
        self.planner = Planner(hosting, writer, attempts)
        self.executor = BatchExecutor(hosting, writer, self._recorder, attempts, turns, settings.progress_steps)
        self._publisher.start()
        self._recorder.start()
        self._logs.start()
        share_standard_streams()
        self._hints = asyncio.ensure_future(listen_for_hints(self._redis, attempts))

    async def close(self) -> None:
        """Close in order: first what writes, then what it writes to."""
        await end(self._hints)
        await self._preloading.close()
        await self._recorder.close()
        await self._logs.close()
        await self._connections.close()
        await self._publisher.close()
        await self._redis.aclose()
        await self._database.close()


async def _open_agents(clients: WorkerClients, turns: Turns) -> _Agents:
    return _Agents(clients, turns)
