"""What a worker does for runs of flows that need no Temporal."""

import asyncio
import uuid
from collections.abc import Callable, Container, Sequence
from typing import Final

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.agents.registry import declared
from pavo.config import Settings
from pavo.flows.attempts import Steps, Timed
from pavo.flows.definition.definition import definition_of
from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.ledger import histories
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.serving import LocalServer
from pavo.flows.local.steps import GROUP, LocalSteps
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread
from pavo.runs.kinds import WorkerClients
from pavo.tools.registry import ToolRegistry
from pavo.tools.wiring import WorkerTools, open_tools

BEGUN: Final = frozenset(("gate", "flow"))
"""Kinds of steps that are begun on the local engine, and end when people have answered, or another run is over."""


def serving(
    clients: WorkerClients, tools: WorkerTools | None = None, others: Callable[[Steps], Steps] | None = None
) -> LocalServer:
    """What executes runs of the local engine in a worker process; it is not begun yet.

    Args:
        others: has steps of the kinds BEGUN begun, beside those that are done here; default: nobody does.
        tools: the worker's, where they are open; default: it opens some of its own.
    """
    if tools is None:
        tools = open_tools(clients.settings.tools)
        clients.closing.push_async_callback(asyncio.to_thread, tools.close)
    evaluator = Evaluator()
    clients.closing.push_async_callback(asyncio.to_thread, evaluator.close)
    steps = local_steps(clients.database, clients.settings, tools, begun=BEGUN if others else ())
    doing = Timed(steps if others is None else others(steps))
    engine = LocalEngine(clients.database, doing, evaluator, publish=clients.publisher.publish)
    return LocalServer(clients.database, engine, Looking(clients.database, steps))


def local_steps(
    database: Database,
    settings: Settings,
    tools: WorkerTools,
    functions: ToolRegistry | None = None,
    begun: Container[str] = (),
) -> LocalSteps:
    """What steps do in this process.

    Args:
        functions: what `python` names. Default: the installed ones.
        begun: see `LocalSteps`.

    Raises:
        ConfigurationError: a key that opens secrets is none.
    """
    secrets = SecretService(database, KeyRing.of(settings.sealing))
    return LocalSteps(tools.registry, functions or ToolRegistry(declared(GROUP)), tools.web, secrets, begun)


class Looking:
    """Which steps of a version cannot be done by these."""

    def __init__(self, database: Database, steps: LocalSteps) -> None:
        self._database, self._steps = database, steps

    async def __call__(self, organisation_id: uuid.UUID, hash_: str) -> Sequence[tuple[str, str]]:
        """See `serving.Unable`.

        Raises:
            Unavailable: PostgreSQL is away.
            ValueError: this build cannot read the version.
        """
        async with self._database.reading() as session:
            text = await histories.definition_of(session, organisation_id, hash_)
        return await call_in_thread("flow", self._judge, text)

    def _judge(self, text: str) -> Sequence[tuple[str, str]]:
        return list(self._steps.unable(definition_of(text, lambda sources: [None] * len(sources))))
