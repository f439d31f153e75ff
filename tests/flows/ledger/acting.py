"""Engines that are stopped, killed and deceived between any two statements, and the steps that they do."""

import asyncio
import math
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

import orjson
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ORMExecuteState

from pavo.errors import LeaseLost, Unavailable
from pavo.flows.attempts import Attempted, Given
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.written import WrittenStep
from pavo.flows.driving import Driver
from pavo.flows.expressions.evaluating import Evaluated, Evaluation
from pavo.flows.ledger import holding
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.records import Hold
from pavo.kit.sql import Database, KeptConnections

LEASE = 3_600.0


class Died(BaseException):
    """The process has ended on this line."""


class Literals:
    """Evaluates expressions that are JSON."""

    def evaluate(self, asked: Sequence[Evaluation]) -> list[Evaluated]:
        return [Evaluated(orjson.loads(each.source)) for each in asked]


@dataclass
class Gate:
    """Where an actor waits until it may go on, and dies."""

    permits: int = 0
    free: bool = False
    dies_in: int | None = None
    """Statements, commits and stops to live."""
    loses_reply: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    steps: int = 0
    parked: int = 0

    async def stop(self) -> None:
        """Here it may be for hours."""
        self.line()
        self.parked += 1
        try:
            async with self.changed:
                await self.changed.wait_for(lambda: self.permits > 0 or self.free)
                self.permits -= 1
        finally:
            self.parked -= 1
        self.line()

    def line(self) -> None:
        """It dies here, or does not."""
        self.steps += 1
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                raise Died

    async def allow(self, permits: int) -> None:
        async with self.changed:
            self.permits += permits
            self.changed.notify_all()


class DeceivingConnections(KeptConnections):
    """The same of statements that are transactions of their own."""

    def __init__(self, database: Database, gate: Gate) -> None:
        super().__init__(database, 1, patience=30)
        self.gate = gate

    async def rows(self, statement: LiteralString, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        await self.gate.stop()
        found = await super().rows(statement, values)
        self.gate.line()
        if self.gate.loses_reply:
            self.gate.loses_reply = False
            raise Unavailable("The reply was lost.", dependency="postgres")
        await self.gate.stop()
        return found


class DeceivingDatabase(Database):
    """Stops before each transaction and after it, dies at each statement, and loses replies to commits."""

    def __init__(self, url: str, gate: Gate) -> None:
        super().__init__(url, pool_size=4, pool_timeout=30)
        self.gate = gate
        self.kept = DeceivingConnections(self, gate)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        await self.gate.stop()
        async with super().transaction() as session:
            event.listen(session.sync_session, "do_orm_execute", self._line)
            yield session
            self.gate.line()
        if self.gate.loses_reply:
            self.gate.loses_reply = False
            raise Unavailable("The reply was lost.", dependency="postgres")
        await self.gate.stop()

    def _line(self, _state: ORMExecuteState) -> None:
        self.gate.line()


@dataclass
class World:
    """What steps have done, and what they give."""

    database: Database
    definition: Definition
    fails: Mapping[ResultKey, bool]
    transients: Mapping[ResultKey, int]
    unsafe: frozenset[str]
    run_id: uuid.UUID
    done: Counter[ResultKey] = field(default_factory=Counter[ResultKey])
    finished: Counter[ResultKey] = field(default_factory=Counter[ResultKey])
    again: Counter[ResultKey] = field(default_factory=Counter[ResultKey])
    wrong: list[str] = field(default_factory=list[str])

    def output(self, key: ResultKey) -> Any:
        return {"of": f"{key.step}/{key.item}/{key.undoes}"}

    async def do(self, hold: Hold, given: Given, gate: Gate) -> Attempted:
        """A step is done by an engine."""
        key = given.key
        async with self.database.reading() as session:
            query = text("SELECT epoch FROM flow_runs WHERE id = :run")
            epoch = (await session.scalars(query, {"run": self.run_id})).one()
        if epoch != hold.epoch:
            self.wrong.append(f"{key} is done under epoch {hold.epoch} while {epoch} holds the run")
        if given.idempotency_key != key.idempotency_key(self.run_id):
            self.wrong.append(f"{key} has the key {given.idempotency_key}")
        self.done[key] += 1
        lost = self.done[key] - 1 - self.finished[key]
        known = self.transients.get(key, 0) + self.again[key]
        if key.step in self.unsafe and (lost > self.again[key] or self.finished[key] > known):
            self.wrong.append(f"{key} is done again: {lost} times nobody knows, {self.finished[key]} times it happened")
        await gate.stop()
        self.finished[key] += 1
        if self.finished[key] <= self.transients.get(key, 0):
            return Attempted(error="it may pass", kind="transient")
        if self.fails.get(key, False):
            return Attempted(error="it fails")
        return Attempted(self.output(key))


@dataclass
class ActingSteps:
    """Of one engine."""

    world: World
    gate: Gate
    hold: Hold

    def is_repeatable(self, step: WrittenStep, *, undoes: bool) -> bool:
        name = next(name for name, each in self.world.definition.flow.steps.items() if each is step or each == step)
        return name not in self.world.unsafe

    async def attempt(self, step: WrittenStep, given: Given) -> Attempted:
        return await self.world.do(self.hold, given, self.gate)


class Actor:
    """One engine: it claims the run, or is told its epoch by Temporal, and executes it."""

    def __init__(self, url: str, world: World, name: str, epoch: int | None = None) -> None:
        self.gate = Gate()
        self.database = DeceivingDatabase(url, self.gate)
        self.world, self.name, self.epoch = world, name, epoch
        self.driver: Driver | None = None
        self.held: Hold | None = None
        self.is_paused = False
        self.refused = False
        self.task = asyncio.create_task(self._live())

    @property
    def is_over(self) -> bool:
        return self.task.done()

    async def _live(self) -> None:
        try:
            hold = await self._hold()
            while hold is not None:
                steps = ActingSteps(self.world, self.gate, hold)
                self.driver, self.held, self.is_paused = Driver(self.database, hold, steps, Literals()), hold, False
                await self.driver.drive()
                if self.epoch is not None:
                    return
                hold = await self._hold()
        except LeaseLost:
            self.refused = True
        except (Died, Unavailable):
            pass

    async def _hold(self) -> Hold | None:
        async with self.database.transaction() as session:
            if self.epoch is not None:
                return await holding.claim_for_temporal(session, self.world.run_id, self.epoch, self.name)
            return await holding.claim(session, self.name, LEASE, self.world.run_id)

    def pause(self) -> None:
        """As far as it knows its lease is over."""
        if self.epoch is None and self.driver is not None:
            self.driver.holds_until(0.0)
            self.is_paused = True

    async def keep(self) -> None:
        """What keeps its lease goes on: it is renewed, or somebody else has the run."""
        if not self.is_paused or self.driver is None or self.held is None:
            return
        try:
            async with self.world.database.transaction() as session:
                await holding.renew(session, self.held, LEASE)
        except LeaseLost:
            self.refused = True
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        else:
            self.is_paused = False
            self.driver.holds_until(math.inf)

    async def advance(self, permits: int) -> None:
        """Let it go on past so many stops."""
        await self.gate.allow(permits)
        await self.settle()

    async def settle(self) -> None:
        """Wait until it stands still: at a stop, or for something that others do."""
        seen, same = -1, 0
        while same < 40 and not self.is_over:
            if same >= 2 and self.gate.parked and not self.gate.permits:
                return
            same = same + 1 if self.gate.steps == seen else 0
            seen = self.gate.steps
            await asyncio.sleep(0.002)

    async def kill(self) -> None:
        """It ends where it is; what it had not committed is undone by PostgreSQL."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.database.close()
