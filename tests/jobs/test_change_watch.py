"""However many watch an organisation in a process, PostgreSQL is asked once what has changed."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from pavo.jobs.live import repository
from pavo.jobs.live.change_watch import ChangeWatch
from pavo.jobs.live.changes import ChangeService
from pavo.jobs.sql.log_lines import NewLine, add_lines
from pavo.kit.sql import Database
from tests.driving import until
from tests.jobs.organisations import Person


async def test_idle_readers_cost_one_look_and_all_are_woken(
    owner: Person, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = list[Sequence[uuid.UUID]]()
    newest = repository.newest

    async def counted(session: Any, ids: Sequence[uuid.UUID]) -> Any:
        looks.append(ids)
        return await newest(session, ids)

    monkeypatch.setattr(repository, "newest", counted)
    await owner.post("repositories", name="site", clone_url="http://localhost/site.git", status=201)
    changes = ChangeService(database)
    cursor, _ = await changes.begin(None)
    found = list[int]()
    reads = 0

    async def reader(watch: ChangeWatch) -> None:
        nonlocal reads
        woken = asyncio.Event()
        with watch.waking(owner.organisation_id, woken):
            while True:
                woken.clear()
                reads += 1
                page = await changes.after(owner.organisation_id, cursor)
                if page.told:
                    found.append(len(page.told))
                    return
                await woken.wait()

    readers = [asyncio.create_task(reader(changes.watch)) for _ in range(20)]
    begun = len(looks)

    async def looked() -> bool:
        return len(looks) >= begun + 4

    await until(looked, what="four looks")
    assert all(ids == [owner.organisation_id] for ids in looks) and reads <= 40, "nobody reads without being woken"
    await owner.post("jobs", prompt="Fix it", repository="site", program="codex", status=201)
    async with asyncio.timeout(60):
        await asyncio.gather(*readers)
    assert len(found) == 20

    looked_at = len(looks)
    with changes.watch.waking(uuid.uuid4(), asyncio.Event()):
        await until(lambda: _is(len(looks) > looked_at), what="a look for another one")
    assert owner.organisation_id not in looks[-1], "nobody watches it any more"


async def _is(true: bool) -> bool:
    return true


async def test_lines_wake_only_those_who_read_them(owner: Person, database: Database) -> None:
    await owner.post("repositories", name="site", clone_url="http://localhost/site.git", status=201)
    changes, mine = ChangeService(database), owner.organisation_id
    begin, _ = await changes.begin(None)
    job = uuid.UUID((await owner.post("jobs", prompt="Fix it", repository="site", program="codex", status=201))["id"])

    async def told() -> bool:
        return bool((await changes.after(mine, begin)).told)

    await until(told, what="the change, before which nothing comes in")
    watch, without, with_lines = changes.watch, asyncio.Event(), asyncio.Event()
    with watch.waking(mine, without), watch.waking(mine, with_lines, logs=True):
        await until(lambda: _is(without.is_set() and with_lines.is_set()), what="the first look")
        for event in (without, with_lines):
            event.clear()
        line = NewLine(job, 1, 1, 1_800_000_000_000, "EXECUTING", "info", "program", None, 0, "ready")
        await add_lines(database, [line])
        await until(lambda: _is(with_lines.is_set()), what="the line")
        assert not without.is_set()
