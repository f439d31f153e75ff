"""What an embedded engine runs on its event loop: a worker on Temporal, a local engine, and what moves runs between.

Temporal may be away when it begins, and later: the worker is begun as soon as it answers.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from pavo.accounts.service import AccountsService
from pavo.config import Settings
from pavo.errors import ConfigurationError, InvalidInput, Unavailable
from pavo.flows.driving import unheard
from pavo.flows.embedded.actions import Actions
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger.records import LOCAL, TEMPORAL
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.serving import LocalServer
from pavo.flows.local.steps import LocalSteps
from pavo.flows.local.wiring import Looking, local_steps
from pavo.flows.runs import RunService
from pavo.flows.temporal.commands import FlowCommands
from pavo.flows.temporal.watching import RunWatch
from pavo.flows.temporal.workers import working
from pavo.kit.cancellation import KeptRunning
from pavo.kit.migrate import pending
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread
from pavo.temporal.client import connect
from pavo.tools.registry import ToolRegistry
from pavo.tools.wiring import open_tools

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
"""Between tries to connect to Temporal."""


@dataclass(frozen=True, slots=True)
class Program:
    """Which program it is, and what it gives."""

    name: str
    organisation: str | None
    actions: Actions
    falls_back_after: float


@dataclass(frozen=True, slots=True)
class Hosted:
    """What the engine's methods call, on its event loop."""

    service: RunService
    organisation: uuid.UUID
    steps: LocalSteps
    watch: RunWatch

    @property
    def engine(self) -> str:
        """That a new run begins on: the local one where Temporal has not taken runs lately."""
        return LOCAL if self.watch.is_refused else TEMPORAL


@asynccontextmanager
async def hosting(settings: Settings, program: Program, evaluator: Evaluator) -> AsyncGenerator[Hosted]:
    """Execute the program's runs meanwhile.

    Raises:
        Unavailable: PostgreSQL is away.
        ConfigurationError: its schema is not this build's.
        NotFound, InvalidInput: there is no such organisation.
    """
    missing = await call_in_thread("schema", pending, settings.database.url)
    if missing:
        told = f"The database lacks {len(missing)} changes of schema ({missing[0]} first)."
        raise ConfigurationError(told, field="DATABASE_URL", remedy="Bring it up to date: pavo migrate")
    async with AsyncExitStack() as closing:
        database = Database(settings.database.url, pool_size=settings.database.pool_size)
        closing.push_async_callback(database.close)
        organisation = await _organisation(AccountsService(database, settings.http), program.organisation)
        tools = open_tools(settings.tools)
        closing.push_async_callback(asyncio.to_thread, tools.close)
        steps = local_steps(database, settings, tools, ToolRegistry({}, program.actions))
        queue = f"pavo-program-{program.name}"
        commands = FlowCommands(await connect(settings.temporal, lazy=True), queue)
        watch = RunWatch(database, commands, program.falls_back_after, program.name)
        closing.push_async_callback(KeptRunning(watch.run, "runs of the program").end)

        async def work_on_temporal() -> None:
            await _working(settings, database, steps, evaluator, queue)

        closing.push_async_callback(KeptRunning(work_on_temporal, "worker of the program").end)
        engine = LocalEngine(database, steps, evaluator, program=program.name)
        server = LocalServer(database, engine, Looking(database, steps))
        closing.push_async_callback(server.close)
        server.start()
        yield Hosted(RunService(database, commands.hurry, program.name), organisation, steps, watch)


async def _organisation(accounts: AccountsService, reference: str | None) -> uuid.UUID:
    if reference is not None:
        return await accounts.organisation_named(reference)
    if accounts.mode == "dev":
        return (await accounts.default_identity()).organisation_id
    found = await accounts.organisations()
    if len(found) == 1:
        return found[0].id
    told = f"There are {len(found)} organisations."
    raise InvalidInput(told, field="organisation", remedy="Name the one whose runs they are; see: pavo org list")


async def _working(settings: Settings, database: Database, steps: LocalSteps, evaluator: Evaluator, queue: str) -> None:
    """Execute what Temporal hands out, for good; where that is away, once it answers."""
    is_told = False
    while True:
        try:
            client = await connect(settings.temporal)
            async with working(client, database, steps, evaluator, queue, unheard):
                logger.info("Runs on Temporal are executed on task queue %s", queue)
                is_told = False
                await asyncio.Event().wait()
        except Unavailable as error:
            if not is_told:
                logger.warning("Runs go on without Temporal: %s", error)
            is_told = True
        except Exception:
            logger.exception("The worker on Temporal has ended; it begins again.")
        await asyncio.sleep(AGAIN_SECONDS)
