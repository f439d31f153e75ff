"""How schedules come into the processes of Pavo: their kind, and their classes wired to what a process shares."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pavo.config import Settings
from pavo.kit.cancellation import KeptRunning
from pavo.runs.kinds import ApiClients, Kind, KindAtWork, KindServed, WorkerClients
from pavo.schedules import domain as d
from pavo.schedules import repository
from pavo.schedules.backfill import BackfillService
from pavo.schedules.firing import ledger
from pavo.schedules.firing.activities import FiringRecorder
from pavo.schedules.firing.contracts import FIRE_TYPE
from pavo.schedules.firing.starter import Starter
from pavo.schedules.firing.workflow import FireSchedule
from pavo.schedules.mirror import Mirror
from pavo.schedules.service import ScheduleService
from pavo.schedules.use_cases import ScheduleUseCases
from pavo.schedules.watching import ScheduleRows
from pavo.starts.rounds import FiringRounds
from pavo.starts.wiring import works_of

KIND: Final = Kind(d.NOUN, FireSchedule, FIRE_TYPE, d.schedule_of_workflow)


def routers() -> Sequence[Any]:
    """The endpoints of schedules."""
    from pavo.schedules.endpoints import router

    return [router]


def _mirror(clients: ApiClients | WorkerClients) -> Mirror:
    settings: Settings = clients.settings
    return Mirror(clients.database, clients.temporal, settings.temporal.task_queue)


async def served(clients: ApiClients) -> KindServed:
    """The use cases of schedules."""
    database, works, mirror = clients.database, works_of(clients, clients.connections), _mirror(clients)
    starter = Starter(database, works)
    services = ScheduleUseCases(ScheduleService(database, works, mirror, starter), BackfillService(database, starter))

    async def census() -> Mapping[str, int]:
        async with database.reading() as session:
            return await repository.census(session)

    async def owners(schedule_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        async with database.reading() as session:
            return await repository.owners(session, schedule_ids)

    return KindServed(KIND, services, ScheduleRows(database, mirror), census, owners)


async def at_work(clients: WorkerClients) -> KindAtWork:
    """The short writes of firings, and the rounds that begin what waits."""
    database, connections = clients.database, clients.keep(clients.database)
    clients.closing.push_async_callback(connections.close)
    starter = Starter(database, works_of(clients, connections))

    async def held_by(_: str) -> Sequence[str]:
        return []

    async def take(count: int) -> Sequence[uuid.UUID]:
        async with database.transaction() as session:
            return await ledger.take_unsettled(session, count)

    rounds = FiringRounds(d.NOUN, take, starter.advance)
    clients.closing.push_async_callback(KeptRunning(rounds.run, "firings-of-schedules").end)
    rows = ScheduleRows(database, _mirror(clients))
    return KindAtWork(KIND, long=[], short=[FiringRecorder(database, starter)], rows=rows, held_by=held_by)
