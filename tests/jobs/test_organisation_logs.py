"""The WebSocket of an organisation with lines of logs: each once, whatever commits when, to those who want them."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import strategies as st
from sqlalchemy import text
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from pavo.jobs.live import repository
from pavo.jobs.live.changes import LINES, ChangeService
from pavo.jobs.live.cursors import ChangeCursor
from pavo.jobs.live.domain import AddedLine, Change, Told
from pavo.jobs.logs.domain import LogFilter
from pavo.jobs.sql.log_lines import NewLine, add_lines
from pavo.kit.sql import Database
from tests.drawing import examples
from tests.driving import until
from tests.jobs.organisations import Person, add_job, somebody
from tests.jobs.test_api_logs import URL
from tests.jobs.test_organisation_socket import heard, opened

ALL = LogFilter()
CHANGE = text("UPDATE jobs SET priority = priority + 1, updated_at = pavo_now() WHERE id = :id")
Key = tuple[uuid.UUID, int, int]
"""Job, attempt and number of a line."""


@pytest_asyncio.fixture
async def jobs(database: Database, owner: Person) -> list[uuid.UUID]:
    site = await owner.post("repositories", status=201, name="site", clone_url=URL)
    return [await add_job(database, owner.organisation_id, site["id"], stage="EXECUTING", epoch=1) for _ in range(2)]


async def put(database: Database, job: uuid.UUID, epoch: int, seqs: Sequence[int], level: str = "info") -> int:
    """Store lines, as a gateway does."""
    return await add_lines(
        database,
        [
            NewLine(job, epoch, seq, 1_800_000_000_000, "EXECUTING", level, "program", None, 0, f"line {seq}")
            for seq in seqs
        ],
    )


async def change(database: Database, job: uuid.UUID) -> None:
    async with database.transaction() as session:
        await session.execute(CHANGE, {"id": job})


def lines_of(messages: Sequence[Any]) -> list[tuple[str, str]]:
    return [(each["job_id"], each["line"]["id"]) for each in messages if each["kind"] == "log"]


async def begun(socket: ClientConnection) -> str:
    begin = (await heard(socket, 1))[0]
    assert begin["kind"] == "begin"
    return begin["cursor"]


async def test_lines_and_changes_each_once_over_reconnects(
    database: Database, owner: Person, jobs: list[uuid.UUID]
) -> None:
    first, second = jobs
    async with opened(owner, "&logs=true", max_queue=None) as socket:  # it leaves what it has not read
        await begun(socket)
        await put(database, first, 1, range(1, 4))
        found = await heard(socket, 3)
        await change(database, second)
        await put(database, second, 1, range(1, 2 * LINES))
        found += await heard(socket, 5)
    assert lines_of(found[:3]) == [(str(first), f"1-{seq}") for seq in (1, 2, 3)]
    assert (found[3]["kind"], found[3]["job"]["id"]) == ("job", str(second))
    assert lines_of(found[4:]) == [(str(second), f"1-{seq}") for seq in range(1, 5)]
    assert found[0]["line"]["text"] == "line 1"
    await change(database, first)
    async with opened(owner, f"{found[-1]['cursor']}&logs=true") as socket:
        later = await heard(socket, 2 * LINES - 4)
    assert lines_of(later[:-1]) == [(str(second), f"1-{seq}") for seq in range(5, 2 * LINES)]
    assert later[-1]["job"]["id"] == str(first)
    async with opened(owner, found[4]["cursor"]) as socket:  # who wants none from here on gets what follows without
        assert (await heard(socket, 1))[0] == later[-1]


async def test_only_who_wants_them_and_of_the_level(database: Database, owner: Person, jobs: list[uuid.UUID]) -> None:
    async with opened(owner) as without, opened(owner, "&logs=true&level=warning") as some:
        await begun(without)
        await begun(some)
        await put(database, jobs[0], 1, range(1, 3 * LINES))
        await put(database, jobs[0], 1, [3 * LINES], level="error")
        await change(database, jobs[0])
        assert (await heard(without, 1))[0]["kind"] == "job"
        found = await heard(some, 2)
    assert lines_of(found) == [(str(jobs[0]), f"1-{3 * LINES}")] and found[1]["kind"] == "job"


async def test_lines_that_commit_late_are_not_left_out(
    database: Database, owner: Person, jobs: list[uuid.UUID]
) -> None:
    """A gateway waits for another one that stores the same line, and goes on when that is undone."""
    async with opened(owner, "&logs=true") as socket:
        await begun(socket)
        async with database.transaction() as other:
            undone = "INSERT INTO job_logs (job_id, epoch, seq, at, stage, level, source, text) "
            await other.execute(text(f"{undone} VALUES (:job, 1, 3, pavo_now(), '', '', '', '')"), {"job": jobs[0]})
            waiting = asyncio.create_task(put(database, jobs[0], 1, range(1, 6)))

            async def waits() -> bool:
                query = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
                async with database.reading() as session:
                    return (await session.scalars(text(query))).one() > 0

            await until(waits, what="the one who waits")
            assert await put(database, jobs[0], 1, range(6, 9)) == 3
            assert await put(database, jobs[1], 1, [1]) == 1
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):  # several looks
                    await socket.recv()
            await other.rollback()
        assert await waiting == 5
        found = await heard(socket, 9)
    assert lines_of(found) == [*((str(jobs[0]), f"1-{seq}") for seq in range(1, 9)), (str(jobs[1]), "1-1")]


async def all_told(
    changes: ChangeService, organisation_id: uuid.UUID, cursor: ChangeCursor, *, stop: int = 0
) -> list[Told]:
    """What is told until nothing more is, at least so much."""
    told = list[Told]()
    while True:
        page = await changes.after(organisation_id, cursor, ALL)
        assert max(Counter(map(type, page.told)).values(), default=0) <= LINES, "a reader holds no more"
        told += page.told
        if page.next == cursor:
            if len(told) >= stop:
                return told
            await asyncio.sleep(0.01)  # others' transactions are under way
        cursor = page.next


STATEMENTS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(1, 2),
        st.lists(st.tuples(st.integers(1, 90), st.integers(1, LINES + 9), st.integers(1, 2)), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=6,
)
"""Job, attempt, and runs of numbers: from, how many, and every which."""


async def test_lines_resumed_at_any_cursor_are_all_lines_once(
    database: Database, owner: Person, jobs: list[uuid.UUID]
) -> None:
    changes = ChangeService(database)

    async def check(example: tuple[list[tuple[int, int, list[tuple[int, int, int]]]], list[int]]) -> None:
        statements, cuts = example
        begin, _ = await changes.begin(None)
        async with database.transaction() as session:
            await session.execute(text("DELETE FROM job_logs WHERE job_id = ANY (:jobs)"), {"jobs": jobs})
        stored = set[Key]()
        storing = list[Any]()
        for job, epoch, runs in statements:
            seqs = [seq for first, count, step in runs for seq in range(first, first + count * step, step)]
            stored |= {(jobs[job], epoch, seq) for seq in seqs}
            storing += [put(database, jobs[job], epoch, seqs), change(database, jobs[job])]
        await asyncio.gather(*storing)
        told = await all_told(changes, owner.organisation_id, begin, stop=len(stored) + len(statements))
        lines = [
            (each.job_id, each.line.cursor.epoch, each.line.cursor.seq) for each in told if isinstance(each, AddedLine)
        ]
        assert len(lines) == len(set(lines)) and set(lines) == stored
        assert sum(isinstance(each, Change) for each in told) == len(statements)
        for cut in cuts:
            here = cut % len(told)
            resumed = ChangeCursor.parse(str(told[here].cursor))
            assert resumed is not None
            assert await all_told(changes, owner.organisation_id, resumed) == told[here + 1 :]

    await examples(st.tuples(STATEMENTS, st.lists(st.integers(0, 10**6), min_size=1, max_size=4)), check)


async def test_deleted_jobs_and_foreign_organisations(
    stack: str, database: Database, owner: Person, jobs: list[uuid.UUID]
) -> None:
    changes = ChangeService(database)
    begin, _ = await changes.begin(None)
    await put(database, jobs[0], 1, [1])
    await put(database, jobs[1], 1, [1, 2])
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET deleted_at = pavo_now() WHERE id = :id"), {"id": jobs[0]})
    assert await put(database, jobs[0], 1, [2]) == 0
    told = await all_told(changes, owner.organisation_id, begin, stop=3)
    assert [each.job_id for each in told] == [jobs[1], jobs[1], jobs[0]], "its deletion is told, its lines are not"
    async with somebody(stack) as other:
        assert await all_told(changes, other.organisation_id, begin) == []
        with pytest.raises(InvalidStatus) as refused:
            async with opened(Person(other.client, owner.organisation_id), "&logs=true"):
                pass
        assert refused.value.response.status_code == 404


async def test_what_is_no_request_for_lines(owner: Person) -> None:
    for query in ("&logs=perhaps", "&logs=true&level=loud", "&level=info", "1.2.3.x&logs=true", f"1.2.3.{2**62}"):
        with pytest.raises(InvalidStatus) as refused:
            async with opened(owner, query):
                pass
        assert refused.value.response.status_code == 422


async def test_what_was_added_is_kept_for_a_day(database: Database, owner: Person, jobs: list[uuid.UUID]) -> None:
    await put(database, jobs[0], 1, [1])
    mine = {"organisation": owner.organisation_id}
    async with database.transaction() as session:
        old = "UPDATE job_log_additions SET at = at - interval '25 hours' WHERE organisation_id = :organisation"
        await session.execute(text(old), mine)
    await put(database, jobs[0], 1, [2])

    async def pruned() -> bool:
        async with database.transaction() as session:
            await repository.prune(session)
            count = text("SELECT count(*) FROM job_log_additions WHERE organisation_id = :organisation")
            return (await session.scalars(count, mine)).one() == 1

    await until(pruned, what="the removal of what is old")
