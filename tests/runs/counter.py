"""A second kind of durable work, as a slice to come would bring it; no module of Pavo knows it."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import DateTime, MetaData, Text, func, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from temporalio import activity

from pavo.kit.sql import Database
from pavo.runs.fenced_row import FencedRow, after, is_newer
from pavo.runs.kinds import ApiClients, Kind, KindAtWork, KindServed, Periodic, RunningRow, WorkerClients
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent
from pavo.timeline.publish import Publisher
from tests.runs.counter_workflow import TYPE, Beat, Counter, CounterWrites, Show


class Base(DeclarativeBase):
    metadata = MetaData()


class CounterRow(FencedRow, Base):
    __tablename__ = "test_counters"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(Text)
    count: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.pavo_now())


def workflow_id(counter_id: uuid.UUID) -> str:
    return f"test-counter:{counter_id}"


def _subject_of(workflow: str) -> str | None:
    prefix, _, counter_id = workflow.partition(":")
    return counter_id if prefix == "test-counter" else None


BEAT: Final = Periodic("test-counter-beat", Beat, timedelta(seconds=1))
KIND: Final = Kind("counter", Counter, TYPE, _subject_of, periodic=[BEAT])


class Writes(CounterWrites):
    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database, self._publisher = database, publisher

    @activity.defn(name="test_show_counter")
    async def show(self, request: Show) -> None:
        counter_id = uuid.UUID(request.counter_id)
        async with self._database.transaction() as session:
            row = (await session.scalars(select(CounterRow).where(CounterRow.id == counter_id).with_for_update())).one()
            if not is_newer(request.fence, row):
                return
            changed = {"stage": request.stage, "count": request.count, **request.fence.columns()}
            await session.execute(update(CounterRow).where(CounterRow.id == counter_id).values(**changed))
            new = NewEvent("counted", {"count": request.count, "stage": request.stage})
            recorded = await timeline.append(session, counter_id, [new], close=request.stage == "FULL")
        self._publisher.publish(recorded)

    @activity.defn(name="test_beat")
    async def beat(self) -> str:
        return "beaten"


class CounterRows:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def running(self, age: timedelta) -> AsyncIterator[RunningRow]:
        query = select(CounterRow).where(CounterRow.stage == "COUNTING", CounterRow.updated_at < func.pavo_now() - age)
        async with self._database.reading() as session:
            rows = (await session.scalars(query)).all()
        for row in rows:
            yield RunningRow(row.id, workflow_id(row.id), row.stage, after(row))

    async def explain(self, row: RunningRow, cause: str, remedy: str) -> bool:
        async with self._database.transaction() as session:
            query = select(CounterRow).where(CounterRow.id == row.subject_id).with_for_update()
            found = (await session.scalars(query)).one()
            if after(found).number != row.next.number:
                return False
            changed = {"stage": "LOST", **row.next.columns()}
            await session.execute(update(CounterRow).where(CounterRow.id == row.subject_id).values(**changed))
            await timeline.append(session, row.subject_id, [NewEvent("lost", {"cause": cause, "remedy": remedy})])
        return True

    async def go_on(self) -> None:
        """Nothing is left to later rounds."""


async def create(database: Database) -> uuid.UUID:
    """The table, where it is missing, and a counter with its timeline."""
    counter_id = uuid.uuid4()
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.run_sync(Base.metadata.create_all)
        session.add(CounterRow(id=counter_id, stage="NEW"))
        await timeline.create(session, counter_id, NewEvent("created"))
    return counter_id


async def find(database: Database, counter_id: uuid.UUID) -> CounterRow:
    async with database.reading() as session:
        return (await session.scalars(select(CounterRow).where(CounterRow.id == counter_id))).one()


def routers() -> Sequence[Any]:
    return []


async def at_work(clients: WorkerClients) -> KindAtWork:
    writes = Writes(clients.database, clients.publisher)

    async def held_by(holder: str) -> Sequence[str]:
        return []

    return KindAtWork(KIND, long=[], short=[writes], rows=CounterRows(clients.database), held_by=held_by)


async def served(clients: ApiClients) -> KindServed:
    async def census() -> Mapping[str, int]:
        query = select(CounterRow.stage, func.count()).group_by(CounterRow.stage)
        async with clients.database.reading() as session:
            return {stage: count for stage, count in await session.execute(query)}

    async def owners(ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        return {each: each for each in ids}

    return KindServed(KIND, None, CounterRows(clients.database), census, owners)
