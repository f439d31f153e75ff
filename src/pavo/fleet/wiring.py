"""How the gateway's process is put together."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from pavo.artifacts.wiring import build_keeping
from pavo.fleet.calls.credentials import Credentials
from pavo.fleet.calls.kept_files import KeptFiles
from pavo.fleet.calls.leases_and_credentials import Calls
from pavo.fleet.calls.model_tokens import ModelTokens, models_url
from pavo.fleet.clients import GatewayClients
from pavo.fleet.logs.intake import LogIntake
from pavo.fleet.server import listening
from pavo.fleet.sessions.messages import Messages
from pavo.fleet.sessions.reunion import Reunion
from pavo.fleet.sessions.session import OpenSessions
from pavo.fleet.sessions.streams import Streams
from pavo.fleet.sessions.watching import watch
from pavo.fleet.work.activities import FleetActivities
from pavo.fleet.work.agent_workers import AgentWorkers
from pavo.fleet.work.owed_work import OwedWork
from pavo.jobs.agents.health import AgentHealth
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.queue.commands import QueueCommands
from pavo.kit.cancellation import KeptRunning

MAX_LOG_BYTES: Final = 1_000_000
"""In one MB of the setting."""


@asynccontextmanager
async def serving(clients: GatewayClients) -> AsyncGenerator[int]:
    """Serve agents; the port that it listens on. Closed in order: streams, workers, what writes."""
    settings, database = clients.settings, clients.database
    async with AsyncExitStack() as closing:
        intake = LogIntake(database, clients.publisher, settings.gateway.logs_mb * MAX_LOG_BYTES)
        closing.push_async_callback(intake.close)
        intake.start()
        open_sessions = OpenSessions()
        activities = FleetActivities(database, open_sessions, settings.gateway.public_url.rstrip("/"))
        workers = AgentWorkers(clients.temporal, activities, clients.gateway_id, settings.gateway.own_queues)
        closing.push_async_callback(workers.close)
        workers.start()
        queues = QueueCommands(database, clients.temporal, settings.temporal.task_queue)
        health = AgentHealth(database, clients.temporal, settings.temporal.task_queue, queues)
        reunion = Reunion(database, clients.temporal, health, queues)
        closing.push_async_callback(reunion.close)
        tokens = AgentTokenService(database)
        messages = Messages(database, clients.publisher, intake, reunion.tell_queue)
        streams = Streams(
            settings.gateway, database, tokens, clients.gateway_id, open_sessions, workers, messages, reunion
        )
        owed = OwedWork(database, open_sessions)
        watching = KeptRunning(partial(watch, database, open_sessions, owed.look), "sessions")
        closing.push_async_callback(watching.end)
        rounds = partial(health.keep_pinging, clients.gateway_id, activities.ping_agent)
        closing.push_async_callback(KeptRunning(rounds, "pings").end)
        models = ModelTokens(database, models_url(settings))
        calls = Calls(database, tokens, Credentials(database, clients.secrets, models), open_sessions)
        files = KeptFiles(database, clients.publisher, tokens, build_keeping(settings))
        yield await closing.enter_async_context(listening(settings.gateway, streams, calls, files))
