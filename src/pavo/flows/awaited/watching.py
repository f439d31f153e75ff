"""Looks, in every worker, whether the work that steps await is over; nobody has to tell that, and nothing is missed."""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import orjson

from pavo.accounts.domain import Identity
from pavo.accounts.people import identity_in
from pavo.errors import NotFound, PavoError
from pavo.flows import turns
from pavo.flows.attempts import Attempted
from pavo.flows.awaited.children import RUN, ChildRuns
from pavo.flows.awaited.gates import WORK, GateWork
from pavo.flows.awaited.steps import NOBODY
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.definition.written import WrittenStep
from pavo.flows.ledger import histories, recording
from pavo.flows.ledger.changes import Ended
from pavo.flows.ledger.records import TEMPORAL
from pavo.flows.ledger.works import awaited
from pavo.flows.ledger.works.awaited import AwaitedWork
from pavo.flows.local.steps import checked
from pavo.flows.runs import Hurry
from pavo.flows.scheduler import Status
from pavo.flows.temporal.accounts import Publish
from pavo.gates.domain import EXPIRED
from pavo.kit.sql import Database
from pavo.works.work import GONE, Outcome, Work

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
_KEPT: Final = 32


class Looks(Protocol):
    """What is asked of each kind of work, once a second."""

    async def stages(self, subject_ids: Sequence[uuid.UUID], /) -> Mapping[uuid.UUID, str]: ...

    def is_over(self, stage: str) -> bool: ...


class WorkWatch:
    """Of a worker. Several may see the same end; the ledger takes one.

    Args:
        works: by kind: task, job. It looks at gates and runs too, and at nothing else.
        hurry: tells the workflow of a run.
        publish: tells viewers what was committed.
    """

    def __init__(self, database: Database, works: Mapping[str, Work], hurry: Hurry, publish: Publish) -> None:
        self._database, self._hurry, self._publish = database, hurry, publish
        self._gates, self._children = GateWork(database), ChildRuns(database, hurry, publish)
        self._works: Mapping[str, Work] = works
        self._looks: Mapping[str, Looks] = {**works, WORK: self._gates, RUN: self._children}
        self._definitions: dict[tuple[uuid.UUID, str], Definition] = {}

    async def run(self) -> None:
        """Without an end."""
        while True:
            try:
                await self.look()
            except PavoError as error:
                logger.info("What steps await is looked at later: %s", error)
            except Exception:
                logger.exception("What steps await is looked at later")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Once, at all of it.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        last: tuple[uuid.UUID, uuid.UUID] | None = None
        while True:
            async with self._database.reading() as session:
                found = await awaited.page(session, last)
            for kind in {each.kind for each in found if each.kind in self._looks}:
                await self._look_at(kind, [each for each in found if each.kind == kind])
            if len(found) < awaited.AT_ONCE:
                return
            last = found[-1].place

    async def _look_at(self, kind: str, found: Sequence[AwaitedWork]) -> None:
        work = self._looks[kind]
        stages = await work.stages([each.work_id for each in found])
        for each in found:
            stage = stages.get(each.work_id, GONE)
            is_over = stage == GONE or work.is_over(stage)
            try:
                if is_over or not each.is_awaited:
                    await self._end(each, is_over=is_over)
            except PavoError as error:
                logger.info("The %s of step %s of run %s: %s", kind, each.key.step, each.run_id, error)

    async def _end(self, each: AwaitedWork, *, is_over: bool) -> None:
        async with self._database.reading() as session:
            who = await identity_in(session, each.created_by, each.organisation_id) if each.created_by else None
        if each.is_awaited:
            await self._settle(each, await self._outcome(each, who))
            return
        if not is_over:
            await self._stop(each, who)
        async with self._database.transaction() as session:
            await awaited.leave(session, each)

    async def _stop(self, each: AwaitedWork, who: Identity | None) -> None:
        if each.kind == WORK:
            await self._gates.stop(who, each.work_id)
        elif each.kind == RUN:
            compensate = each.cancel_compensates
            if compensate is None:
                compensate = (await self._definition(each)).flow.on_failure.compensate
            await self._children.cancel(each.organisation_id, each.work_id, compensate=compensate)
        elif who is not None:
            await self._works[each.kind].stop(who, each.work_id)

    async def _outcome(self, each: AwaitedWork, who: Identity | None) -> Outcome:
        if each.kind == WORK:
            return await self._gates.outcome(who, each.work_id)
        try:
            if each.kind == RUN:
                return await self._children.outcome(each.organisation_id, each.work_id)
            if who is None:
                return Outcome(GONE, error=NOBODY)
            return await self._works[each.kind].outcome(who, each.work_id)
        except NotFound:
            return Outcome(GONE, error="it was deleted")

    async def _settle(self, each: AwaitedWork, outcome: Outcome) -> None:
        definition = await self._definition(each)
        step = definition.flow.steps[each.key.step]
        change: turns.OfAttempt = turns.outcome(definition, each.key, each.attempt, attempted(step, outcome))
        if outcome.stage == EXPIRED and step.gate is not None and step.gate.on_expiry == "skip":
            change = Ended(each.key, Status.SKIPPED, error=outcome.error)
        async with self._database.transaction() as session:
            told = await recording.settle(session, each.run_id, each.key, each.work_id, change)
        if told is None:
            return
        self._publish(told)
        if each.engine == TEMPORAL:
            await self._hurry(each.run_id, each.epoch, is_begun=each.is_begun)

    async def _definition(self, each: AwaitedWork) -> Definition:
        place = each.organisation_id, each.hash
        if place not in self._definitions:
            async with self._database.reading() as session:
                text = await histories.definition_of(session, each.organisation_id, each.hash)
            while len(self._definitions) >= _KEPT:
                del self._definitions[next(iter(self._definitions))]
            self._definitions[place] = definition_of(text, lambda sources: [None] * len(sources))
        return self._definitions[place]


def attempted(step: WrittenStep, outcome: Outcome) -> Attempted:
    """What came of a step by what came of its work: an agent's report that is a JSON object is what the step gives,
    any other is its member `report`."""
    if outcome.error is not None:
        return Attempted(error=f"{outcome.stage.lower()}: {outcome.error}"[:2_000])
    output = outcome.output
    if step.agent is not None:
        output = _report(str(output or ""))
    return checked(step, Attempted(output))


def _report(text: str) -> Any:
    try:
        found = orjson.loads(text) if text.lstrip().startswith("{") else None
    except orjson.JSONDecodeError:
        found = None
    return {"report": text} if found is None else found
