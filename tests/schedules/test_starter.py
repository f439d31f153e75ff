"""Beginning what is due, with a stand-in for what is started: overlaps mean what was started, however long it lasts."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio
from pydantic import BaseModel

from pavo.accounts.domain import Identity
from pavo.bootstrap import build_accounts
from pavo.config import Settings
from pavo.errors import InvalidInput, Unavailable
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.schedules import domain as d
from pavo.schedules import repository
from pavo.schedules.firing import ledger
from pavo.schedules.firing.activities import FiringRecorder
from pavo.schedules.firing.contracts import Fired
from pavo.schedules.firing.starter import Starter
from pavo.schedules.models import FiringRow
from pavo.works.work import Outcome
from tests.parts import Stores, drop_database, new_database

HOUR = timedelta(hours=1)
BEGAN = datetime(2026, 11, 27, 8, tzinfo=UTC)


@dataclass
class StandIn:
    """What it made, by key, and where each is."""

    made: dict[str, uuid.UUID] = field(default_factory=dict[str, uuid.UUID])
    at: dict[uuid.UUID, str] = field(default_factory=dict[uuid.UUID, str])
    begun: list[uuid.UUID] = field(default_factory=list[uuid.UUID])
    away: bool = False
    refuses: bool = False
    ends_when_stopped: bool = True
    stopped: list[uuid.UUID] = field(default_factory=list[uuid.UUID])

    async def check(self, who: Identity, body: BaseModel) -> None:
        """All is well."""

    async def make(self, who: Identity, body: Mapping[str, Any], key: str) -> uuid.UUID:
        if self.away:
            raise Unavailable("It is away.", dependency="stand-in")
        if self.refuses:
            raise InvalidInput("That is none.", remedy="Say another one.")
        if key not in self.made:
            self.made[key] = uuid.uuid4()
            self.at[self.made[key]] = "RUNNING"
        return self.made[key]

    async def begin(self, who: Identity, subject_id: uuid.UUID) -> None:
        self.begun.append(subject_id)

    async def stages(self, subject_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        return {each: self.at[each] for each in subject_ids if each in self.at}

    def is_over(self, stage: str) -> bool:
        return stage != "RUNNING"

    async def outcome(self, who: Identity, subject_id: uuid.UUID) -> Outcome:
        return Outcome(self.at[subject_id])

    async def stop(self, who: Identity, subject_id: uuid.UUID) -> None:
        self.stopped.append(subject_id)
        if self.ends_when_stopped:
            self.at[subject_id] = "STOPPED"

    def end(self, subject_id: uuid.UUID | None) -> None:
        assert subject_id is not None
        self.at[subject_id] = "DONE"


@dataclass
class Setting:
    """A database without workers, and a schedule in it."""

    database: Database
    who: Identity
    work: StandIn
    starter: Starter
    schedule_id: uuid.UUID

    async def due(self, count: int, overlap: d.Overlap, first: int = 0) -> None:
        moments = [BEGAN + number * HOUR for number in range(first, first + count)]
        async with self.database.transaction() as session:
            await ledger.add(session, self.schedule_id, moments, reason=d.BY_SCHEDULE, overlap=overlap)

    async def firings(self) -> list[FiringRow]:
        async with self.database.reading() as session:
            return [*reversed(await ledger.page(session, self.schedule_id, (), None, 1_000))]

    async def states(self) -> list[str]:
        return [each.state for each in await self.firings()]

    async def advance(self) -> bool:
        return await self.starter.advance(self.schedule_id)


@pytest_asyncio.fixture(scope="module")
async def apart(stores: Stores) -> AsyncIterator[Database]:
    url = new_database(stores)
    upgrade(url)
    database = Database(url, pool_size=8, pool_timeout=60)
    yield database
    await database.close()
    drop_database(stores, url)


@pytest_asyncio.fixture
async def setting(apart: Database) -> Setting:
    who = await build_accounts(apart, Settings()).first_sight(f"{uuid.uuid4().hex}@example.com")
    times, body = {"cron": ["0 * * * *"]}, {"title": "Report"}
    new = repository.NewSchedule(who.organisation_id, "nightly", "task", body, times, "SKIP", 3600, who.user_id)
    async with apart.transaction() as session:
        schedule_id = await repository.add(session, new)
    assert schedule_id is not None
    work = StandIn()
    return Setting(apart, who, work, Starter(apart, {"task": work}), schedule_id)


async def test_skip_leaves_out_while_the_former_is_open(setting: Setting) -> None:
    await setting.due(2, "SKIP")
    assert not await setting.advance()
    first, second = await setting.firings()
    assert (first.state, second.state) == ("started", "skipped") and f"{first.subject_id}" in second.told
    setting.work.end(first.subject_id)
    await setting.due(1, "SKIP", 2)
    await setting.advance()
    assert await setting.states() == ["started", "skipped", "started"]
    assert (await setting.firings())[0].outcome == "DONE"


async def test_buffer_one_and_all_wait_for_the_end_of_what_was_started(setting: Setting) -> None:
    await setting.due(4, "BUFFER_ONE")
    assert await setting.advance()
    assert await setting.states() == ["started", "due", "skipped", "skipped"]
    assert "begins after that" in (await setting.firings())[1].told
    await setting.due(2, "BUFFER_ALL", 4)
    waits = True
    for _ in range(4):
        waits = await setting.advance()
        started = [each for each in await setting.firings() if each.state == "started"]
        setting.work.end(started[-1].subject_id)
    assert not waits and await setting.states() == ["started", "started", "skipped", "skipped", "started", "started"]


async def test_cancel_other_begins_once_the_former_has_ended(setting: Setting) -> None:
    setting.work.ends_when_stopped = False
    await setting.due(3, "CANCEL_OTHER")
    assert await setting.advance()
    assert await setting.states() == ["started", "skipped", "due"], "a later one takes the place of one that waits"
    [former] = setting.work.begun
    assert setting.work.stopped == [former]
    setting.work.at[former] = "STOPPED"
    assert not await setting.advance()
    assert await setting.states() == ["started", "skipped", "started"] and len(setting.work.begun) == 2


async def test_terminate_other_waits_for_nothing(setting: Setting) -> None:
    setting.work.ends_when_stopped = False
    await setting.due(2, "TERMINATE_OTHER")
    assert not await setting.advance()
    assert await setting.states() == ["started", "started"] and setting.work.stopped == setting.work.begun[:1]
    assert [each.outcome for each in await setting.firings()] == ["TERMINATED", None]


async def test_what_is_away_is_waited_for_and_made_once(setting: Setting) -> None:
    await setting.due(1, "SKIP")
    setting.work.away = True
    for _ in range(2):
        try:
            await setting.advance()
        except Unavailable:
            continue
        raise AssertionError("it is away")
    assert await setting.states() == ["starting"]
    setting.work.away = False
    await asyncio.gather(*(setting.advance() for _ in range(6)))
    assert await setting.states() == ["started"] and len(setting.work.made) == 1


async def test_what_is_starting_starts_as_it_was_when_that_began(setting: Setting) -> None:
    await setting.due(1, "SKIP")
    setting.work.away = True
    with contextlib.suppress(Unavailable):
        await setting.advance()
    async with setting.database.transaction() as session:
        await repository.change(session, setting.schedule_id, {"body": {"title": "Another one"}})
    setting.work.away = False
    await setting.advance()
    assert [each.body for each in await setting.firings()] == [{"title": "Report"}]


async def test_a_refusal_is_told_and_keeps_no_other_from_it(setting: Setting) -> None:
    await setting.due(2, "SKIP")
    setting.work.refuses = True
    await setting.advance()
    assert await setting.states() == ["failed", "failed"]
    assert [each.told for each in await setting.firings()] == ["That is none. Say another one."] * 2


async def test_who_left_starts_nothing(setting: Setting) -> None:
    async with setting.database.transaction() as session:
        await repository.change(session, setting.schedule_id, {"acts_for": None})
    await setting.due(1, "SKIP")
    await setting.advance()
    [found] = await setting.firings()
    assert found.state == "failed" and "Change the schedule" in found.told and not setting.work.made


async def test_a_time_that_is_told_again_and_again_is_one(setting: Setting) -> None:
    """Its workflow is tried again, a catch-up finds it, a late mirror tells it."""
    recorder = FiringRecorder(setting.database, setting.starter)
    fired = Fired(str(setting.schedule_id), 1, BEGAN)
    await asyncio.gather(*(recorder.fire(fired) for _ in range(5)))
    await setting.due(1, "ALLOW_ALL")
    await setting.advance()
    assert await setting.states() == ["started"] and len(setting.work.made) == 1


async def test_a_late_mirror_tells_no_times_that_were_edited_away(setting: Setting) -> None:
    recorder = FiringRecorder(setting.database, setting.starter)
    async with setting.database.transaction() as session:
        await repository.change(session, setting.schedule_id, {"times": {"cron": ["30 * * * *"]}})
        row = await repository.find(session, setting.schedule_id)
        assert row is not None
        later = row.changed_at.replace(minute=0, second=0, microsecond=0) + 2 * HOUR
    await recorder.fire(Fired(str(setting.schedule_id), 1, later))
    assert await setting.states() == [], "of the version before, and none of this one"
    await recorder.fire(Fired(str(setting.schedule_id), 1, later + HOUR / 2))
    await recorder.fire(Fired(str(setting.schedule_id), 1, later - 24 * HOUR))
    assert len(await setting.states()) == 2, "a time of both, and one that had come before the change"


async def test_a_paused_schedule_writes_down_why_it_left_a_time_out(setting: Setting) -> None:
    recorder = FiringRecorder(setting.database, setting.starter)
    values = {"paused_at": BEGAN + HOUR / 2, "paused_reason": "holidays"}
    async with setting.database.transaction() as session:
        await repository.change(session, setting.schedule_id, values)
    for number in range(2):
        await recorder.fire(Fired(str(setting.schedule_id), 2, BEGAN + number * HOUR))
    first, second = await setting.firings()
    assert (first.state, second.state, second.told) == ("started", "skipped", "paused: holidays")


async def test_deleted_while_something_is_starting(setting: Setting) -> None:
    await setting.due(2, "ALLOW_ALL")
    setting.work.away = True
    with contextlib.suppress(Unavailable):
        await setting.advance()
    async with setting.database.transaction() as session:
        await repository.remove(session, setting.schedule_id)
        assert not await repository.drop(session, setting.schedule_id), "it is gone on with first"
    setting.work.away = False
    await setting.advance()
    assert await setting.states() == ["started", "skipped"]
    async with setting.database.transaction() as session:
        assert await repository.drop(session, setting.schedule_id)
    assert await setting.states() == []
