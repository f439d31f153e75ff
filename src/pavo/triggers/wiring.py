"""How triggers come into the processes of Pavo. They run nothing on Temporal, so they are no kind of durable work (see
decision 96): an API takes messages, a worker begins what is left beside its work."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pavo.kit.cancellation import KeptRunning
from pavo.kit.sql import KeptConnections
from pavo.runs.kinds import ApiClients, WorkerClients
from pavo.starts.rounds import FiringRounds
from pavo.starts.wiring import works_of
from pavo.triggers.domain import NOUN
from pavo.triggers.firing import ledger

if TYPE_CHECKING:
    from pavo.triggers.firing.mapping import TriggerMapping
    from pavo.triggers.firing.starter import TriggerStarter
    from pavo.triggers.use_cases import TriggerUseCases
    from pavo.works.work import Work


def starting(
    clients: ApiClients | WorkerClients, connections: KeptConnections
) -> "tuple[dict[str, Work], TriggerMapping, TriggerStarter]":
    """What can be started, what evaluates, and what begins."""
    from pavo.flows.expressions.evaluating import Evaluator  # here, as flows do it: the expressions' process
    from pavo.starts.flow_work import FlowWork
    from pavo.triggers.firing.mapping import TriggerMapping
    from pavo.triggers.firing.starter import TriggerStarter

    evaluator = Evaluator()
    clients.closing.callback(evaluator.close)
    works, mapping = works_of(clients, connections), TriggerMapping(evaluator)
    flows = works["flow"]
    assert isinstance(flows, FlowWork)
    return dict(works), mapping, TriggerStarter(clients.database, works, mapping, flows.parent)


def served(clients: ApiClients) -> "TriggerUseCases":
    """The use cases of an API."""
    from pavo.triggers.receiving import TriggerReceiving
    from pavo.triggers.service import TriggerService
    from pavo.triggers.use_cases import TriggerUseCases

    works, mapping, starter = starting(clients, clients.connections)
    triggers = TriggerService(clients.database, works, mapping, starter)
    return TriggerUseCases(triggers, TriggerReceiving(clients.database, starter))


def begin_beside(clients: WorkerClients) -> None:
    """What a worker does beside its work, until `clients.closing` is."""
    connections = clients.keep(clients.database)
    clients.closing.push_async_callback(connections.close)
    _, _, starter = starting(clients, connections)

    async def take(count: int) -> Sequence[uuid.UUID]:
        async with clients.database.transaction() as session:
            return await ledger.take_unsettled(session, count)

    rounds = FiringRounds(NOUN, take, starter.advance)
    clients.closing.push_async_callback(KeptRunning(rounds.run, "firings-of-triggers").end)
    clients.closing.push_async_callback(KeptRunning(starter.prune, "old-firings-of-triggers").end)
