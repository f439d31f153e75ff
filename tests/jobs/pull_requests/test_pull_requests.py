"""Pull requests of jobs that are done: comments have the job go on, once; states are shown; forges are spared."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.config import SealingSettings
from pavo.forges.port import Comment
from pavo.jobs.pull_requests import repository as sql
from pavo.jobs.pull_requests.domain import MAX_FEEDBACK, feedback_of, interval, seen_after, unseen
from pavo.jobs.pull_requests.looking import Looking, LookLimits
from pavo.jobs.pull_requests.polling import PullRequestPolling
from pavo.jobs.pull_requests.repository import OpenPullRequest, Taken
from pavo.jobs.removal.repository import bury
from pavo.kit.outgoing.checked_client import checked_client
from pavo.kit.outgoing.connecting import Connector
from pavo.kit.processes import child_dies_with_us
from pavo.kit.sql import Database
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent
from pavo.timeline.publish import Publisher
from tests.driving import until
from tests.fleet.rows import Job, Rows
from tests.forges.small_forge import FACES, Forge, User, has_git_over_http
from tests.parts import Parts

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    if not has_git_over_http():
        pytest.skip("git http-backend is not installed")
    with Forge(tmp_path_factory.mktemp("forge"), FACES) as found:
        found.tokens[""] = User("pavo-bot")
        yield found


@dataclass
class Reviewed:
    """A job that is done, with an open pull request at the small forge."""

    forge: Forge
    rows: Rows
    publisher: Publisher
    name: str
    job: Job
    private: bool = False
    writers: tuple[str, ...] = ("ada",)
    told: list[uuid.UUID] = field(default_factory=list)
    limits: LookLimits = field(default_factory=lambda: LookLimits(60.0, 10))
    networks: tuple[Any, ...] = LOOPBACK

    def say(self, author: str, text: str, path: str = "", line: int | None = None) -> None:
        self.forge.say(self.name, 1, author, text, path, line)

    async def round(self) -> None:
        """One of a worker; everything is due. What it is told of rights is as the test says."""
        await self.rows.run("UPDATE jobs SET pull_request_look_at = NULL WHERE id = :id", id=self.job.uuid)
        await self.as_it_is()

    async def as_it_is(self) -> None:
        async def tell(organisation_id: uuid.UUID) -> None:
            self.told.append(organisation_id)

        connector = Connector(self.networks, "PAVO_FORGE_NETWORKS", resolvers=2)
        client = checked_client(connector, httpx2.Timeout(10.0), httpx2.Limits(max_connections=4))
        secrets = SecretService(self.rows.database, KeyRing.of(SealingSettings()))
        looking = Looking(client, secrets, self.limits)
        self.forge.interfere = self.rights
        try:
            await PullRequestPolling(self.rows.database, self.publisher, looking, tell).round()
        finally:
            self.forge.interfere = lambda method, path: None
            await client.aclose()
            connector.close()

    def rights(self, method: str, path: str) -> tuple[int, Mapping[str, str], bytes] | None:
        mine = f"/api/v1/repos/{self.name}"
        if path == f"{mine}?" or path == mine:
            return 200, {}, json.dumps({"full_name": self.name, "private": self.private}).encode()
        if "/collaborators/" in path:
            user = path.partition("/collaborators/")[2].partition("/")[0]
            permission = "write" if user in self.writers else "read"
            return 200, {}, json.dumps({"permission": permission}).encode()
        return None

    async def row(self) -> Any:
        return await self.rows.of_job(self.job)

    async def events(self, kind: str) -> list[dict[str, Any]]:
        query = "SELECT data FROM events WHERE timeline_id = :id AND type = :kind ORDER BY seq"
        return [each.data for each in await self.rows.run(query, id=self.job.uuid, kind=kind)]


@pytest_asyncio.fixture
async def reviewed(forge: Forge, database: Database, publisher: Publisher) -> AsyncIterator[Reviewed]:
    rows = await Rows.make(database)
    found = await another(forge, rows, publisher)
    yield found
    await rows.run("UPDATE jobs SET deleted_at = pavo_now() WHERE organisation_id = :id", id=rows.organisation_id)


async def another(forge: Forge, rows: Rows, publisher: Publisher) -> Reviewed:
    name = f"acme/{uuid.uuid4().hex[:8]}"
    forge.make_repository(name, {"README.md": "Hello\n"})
    made = forge.commit(name, {"work.txt": "done\n"}, "Work", [forge.branch(name, "main")])
    forge.git(name, "update-ref", "refs/heads/pavo/work", made)
    forge.create_pull(name, "pavo/work", "main", "Fix it", "", False).author = "pavo-bot"
    repository = await rows.repository(clone_url=forge.clone_url(name), forge="gitea")
    job_id = uuid.uuid4()
    async with rows.database.transaction() as session:
        await timeline.create(session, job_id, NewEvent("queued", {"kind": "backlog", "priority": 50}))
    await rows.run(
        "INSERT INTO jobs (id, organisation_id, repository_id, title, prompt, base_branch, rank, program, stage, "
        "epoch, branch, attempts, pull_request_url, pull_request_number, pull_request_state, outcome, ended_at) "
        "VALUES (:id, :organisation, :repository, 'Fix it', 'Fix it', 'main', 0, 'command', 'DONE', 1, 'pavo/work', 1, "
        ":url, 1, 'open', 'published', pavo_now())",
        id=job_id,
        organisation=rows.organisation_id,
        repository=repository,
        url=f"{forge.url}/{name}/pulls/1",
    )
    return Reviewed(forge, rows, publisher, name, Job(str(job_id), 1))


@pytest_asyncio.fixture
async def publisher(environment: dict[str, str]) -> AsyncIterator[Publisher]:
    from redis.asyncio import Redis

    redis = Redis.from_url(environment["REDIS_URL"])
    found = Publisher(redis)
    found.start()
    yield found
    await found.close()
    await redis.aclose()


async def test_a_comment_puts_the_job_back_before_the_backlog_once(reviewed: Reviewed) -> None:
    await reviewed.round()
    row = await reviewed.row()
    assert row.stage == "DONE" and row.pull_request_look_at is not None and reviewed.told == []
    reviewed.say("ada", "Use the helper in utils.py.\nAnd say why.", "work.txt", 3)
    reviewed.say("ada", "Fine otherwise.")
    await reviewed.round()
    row = await reviewed.row()
    assert (row.stage, row.kind, row.branch, row.epoch) == ("QUEUED", "rework", "pavo/work", 1)
    assert "> Use the helper in utils.py.\n> And say why." in row.feedback and "ada on work.txt, line 3" in row.feedback
    assert "Fine otherwise." in row.feedback and reviewed.told == [reviewed.rows.organisation_id]
    assert [each["by"] for each in await reviewed.events("message")] == ["ada at gitea"]
    # It is done again: what was answered is answered; what is said now is not.
    await reviewed.rows.run("UPDATE jobs SET stage = 'DONE', epoch = 2 WHERE id = :id", id=reviewed.job.uuid)
    await reviewed.round()
    assert (await reviewed.row()).stage == "DONE"
    reviewed.say("ada", "One thing more.")
    await reviewed.round()
    row = await reviewed.row()
    assert row.stage == "QUEUED" and "One thing more." in row.feedback and "utils.py" not in row.feedback
    assert row.pull_request_reviews == 2


async def test_an_unchanged_pull_request_is_said_once(reviewed: Reviewed) -> None:
    reviewed.say("stranger", "First!")
    await reviewed.round()
    await reviewed.round()  # comments are asked for from another moment on now
    before = len(reviewed.forge.requests)
    await reviewed.round()
    asked = reviewed.forge.requests[before:]
    assert {each.status for each in asked} == {304}, asked
    reviewed.say("ada", "Now this.")
    await reviewed.round()
    assert "Now this." in (await reviewed.row()).feedback


@pytest.mark.parametrize("state", ["merged", "closed"])
async def test_its_end_is_shown_and_nobody_asks_any_more(reviewed: Reviewed, state: str) -> None:
    if state == "merged":
        reviewed.forge.merge(reviewed.name, 1)
    else:
        reviewed.forge.pull(reviewed.name, 1).state = "closed"
    reviewed.say("ada", "Thank you.")
    await reviewed.round()
    row = await reviewed.row()
    assert (row.stage, row.pull_request_state) == ("DONE", state)
    assert [each["state"] for each in await reviewed.events("pull_request")] == [state]
    before = len(reviewed.forge.requests)
    await reviewed.round()
    assert len(reviewed.forge.requests) == before


async def test_one_that_is_opened_again_is_looked_at_again(reviewed: Reviewed) -> None:
    now = "UPDATE jobs SET pull_request_look_at = pavo_now() WHERE id = :id"
    reviewed.forge.pull(reviewed.name, 1).state = "closed"
    await reviewed.round()
    row = await reviewed.row()
    assert row.pull_request_state == "closed"
    assert row.pull_request_look_at - row.updated_at >= timedelta(hours=5), "as seldom as can be"
    await reviewed.rows.run(now, id=reviewed.job.uuid)
    await reviewed.as_it_is()
    assert (await reviewed.row()).pull_request_look_at is not None
    reviewed.forge.pull(reviewed.name, 1).state = "open"
    reviewed.say("ada", "Rather so.")
    await reviewed.rows.run(now, id=reviewed.job.uuid)
    await reviewed.as_it_is()
    row = await reviewed.row()
    assert (row.pull_request_state, row.stage) == ("open", "QUEUED") and "Rather so." in row.feedback
    assert [each["state"] for each in await reviewed.events("pull_request")] == ["closed", "open"]


async def test_one_that_stays_closed_is_given_up(reviewed: Reviewed) -> None:
    reviewed.forge.pull(reviewed.name, 1).state = "closed"
    await reviewed.round()
    long_ago = "UPDATE jobs SET updated_at = pavo_now() - interval '15 days', ended_at = NULL WHERE id = :id"
    await reviewed.rows.run(long_ago, id=reviewed.job.uuid)
    await reviewed.rows.run("UPDATE jobs SET pull_request_look_at = pavo_now() WHERE id = :id", id=reviewed.job.uuid)
    await reviewed.as_it_is()
    assert (await reviewed.row()).pull_request_look_at is None
    before = len(reviewed.forge.requests)
    await reviewed.as_it_is()
    assert len(reviewed.forge.requests) == before


@pytest.mark.parametrize(
    ("reviewers", "private", "author", "goes_on"),
    [
        ("members", False, "stranger", False),
        ("members", True, "stranger", False),
        ("members", False, "ada", True),
        ("members", False, "acme", True),  # who owns it
        ("anyone", False, "stranger", False),
        ("anyone", True, "stranger", True),
        ("anyone", True, "pavo-bot", False),
        ("members", False, "pavo-bot", False),
        ("nobody", True, "ada", False),
    ],
)
async def test_who_commands(reviewed: Reviewed, reviewers: str, private: bool, author: str, goes_on: bool) -> None:
    reviewed.private, reviewed.writers = private, ("ada", "pavo-bot")
    await reviewed.rows.run(
        "UPDATE repositories SET reviewers = :reviewers WHERE organisation_id = :id",
        reviewers=reviewers,
        id=reviewed.rows.organisation_id,
    )
    reviewed.say(author, "Delete everything.")
    await reviewed.round()
    assert ((await reviewed.row()).stage == "QUEUED") == goes_on
    await reviewed.round()  # it is not judged a second time either
    assert (await reviewed.row()).pull_request_reviews == goes_on


async def test_comments_have_it_go_on_so_often_and_no_more(reviewed: Reviewed) -> None:
    reviewed.limits = LookLimits(60.0, 1)
    for number in (1, 2):
        reviewed.say("ada", f"Thing {number}.")
        await reviewed.round()
        assert (await reviewed.row()).pull_request_reviews == 1
        await reviewed.rows.run("UPDATE jobs SET stage = 'DONE' WHERE id = :id", id=reviewed.job.uuid)
    [note] = await reviewed.events("note")
    assert "1 comment " in note["text"] and "not answered" in note["text"] and "rework" in note["remedy"]


@pytest.mark.parametrize("stage", ["FAILED", "CANCELLED"])
async def test_what_failed_or_was_cancelled_after_a_rework_is_looked_at_too(reviewed: Reviewed, stage: str) -> None:
    await reviewed.rows.run("UPDATE jobs SET stage = :stage WHERE id = :id", stage=stage, id=reviewed.job.uuid)
    reviewed.say("ada", "Once more.")
    await reviewed.round()
    row = await reviewed.row()
    assert (row.stage, row.kind) == ("QUEUED", "rework") and "Once more." in row.feedback


async def test_a_forge_that_is_asked_too_often_is_left_alone(
    reviewed: Reviewed, forge: Forge, database: Database
) -> None:
    second = await another(forge, reviewed.rows, reviewed.publisher)
    foreign = await another(forge, await Rows.make(database), reviewed.publisher)
    reviewed.rights = lambda method, path: (  # type: ignore[method-assign]
        (429, {"Retry-After": "1800"}, b"{}") if reviewed.name in path else None
    )
    foreign.say("acme", "Go on.")
    for each in (second, foreign):
        await each.rows.run("UPDATE jobs SET pull_request_look_at = NULL WHERE id = :id", id=each.job.uuid)
    await reviewed.round()
    now = (await reviewed.rows.one("SELECT pavo_now() AS at")).at
    for each in (reviewed, second):
        assert (await each.row()).pull_request_look_at > now + timedelta(minutes=25)
    assert (await foreign.row()).stage == "QUEUED"  # another organisation's limit is its own
    before = [each for each in forge.requests if reviewed.name in each.path or second.name in each.path]
    await reviewed.as_it_is()
    assert before == [each for each in forge.requests if reviewed.name in each.path or second.name in each.path]
    for each in (second, foreign):
        await each.rows.run("UPDATE jobs SET deleted_at = pavo_now() WHERE id = :id", id=each.job.uuid)


async def test_private_addresses_are_for_the_operator_to_allow(reviewed: Reviewed) -> None:
    reviewed.networks = ()
    reviewed.say("ada", "Hello.")
    before = len(reviewed.forge.requests)
    await reviewed.round()
    row = await reviewed.row()
    assert row.stage == "DONE" and len(reviewed.forge.requests) == before
    now = (await reviewed.rows.one("SELECT pavo_now() AS at")).at
    assert row.pull_request_look_at > now + timedelta(minutes=50)  # it is no outage, which would end by itself


async def test_nonsense_of_one_forge_keeps_no_other_waiting(reviewed: Reviewed, forge: Forge) -> None:
    second = await another(forge, reviewed.rows, reviewed.publisher)
    second.say("acme", "Go on.")
    nonsense = json.dumps([{"id": 10**400, "body": "x", "user": {"login": "ada"}, "updated_at": "0001-01-01T00:00:00"}])
    reviewed.rights = lambda method, path: (  # type: ignore[method-assign]
        (200, {}, nonsense.encode()) if reviewed.name in path and "comments" in path else None
    )
    await second.rows.run("UPDATE jobs SET pull_request_look_at = NULL WHERE id = :id", id=second.job.uuid)
    await reviewed.round()
    assert (await second.row()).stage == "QUEUED"
    assert (await reviewed.row()).pull_request_look_at is not None
    await second.rows.run("UPDATE jobs SET deleted_at = pavo_now() WHERE id = :id", id=second.job.uuid)


DIES = """
import asyncio, os, sys
from ipaddress import ip_network
import httpx2
from redis.asyncio import Redis
from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.config import SealingSettings
from pavo.jobs.pull_requests.looking import Looking, LookLimits
from pavo.jobs.pull_requests.polling import PullRequestPolling
from pavo.jobs.pull_requests import repository as sql
from pavo.kit.outgoing.checked_client import checked_client
from pavo.kit.outgoing.connecting import Connector
from pavo.kit.sql import Database
from pavo.timeline.publish import Publisher

where = sys.argv[1]
take = sql.take

async def stand():
    print("THERE", flush=True)
    await asyncio.sleep(60)

async def taking(session, one, taken):
    if where == "read":
        await stand()
    recorded = await take(session, one, taken)
    if where == "written":
        await stand()  # in the transaction, before it commits
    return recorded

sql.take = taking

async def tell(organisation_id):
    if where == "committed":
        await stand()

async def main():
    database = Database(os.environ["DATABASE_URL"], pool_size=4)
    client = checked_client(Connector((ip_network("127.0.0.0/8"),), "x"), httpx2.Timeout(10.0), httpx2.Limits())
    looking = Looking(client, SecretService(database, KeyRing.of(SealingSettings())), LookLimits(60.0, 10))
    publisher = Publisher(Redis.from_url(os.environ["REDIS_URL"]))
    await PullRequestPolling(database, publisher, looking, tell).round()

asyncio.run(main())
"""


@pytest.mark.parametrize("where", ["read", "written", "committed"])
async def test_a_worker_that_dies_there_loses_no_comment_and_takes_none_twice(
    reviewed: Reviewed, environment: dict[str, str], where: str
) -> None:
    reviewed.say("acme", "Use the helper.")  # who owns it: nobody is asked about that
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, where],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        preexec_fn=child_dies_with_us(signal.SIGKILL),
    )
    assert process.stdout is not None
    with process.stdout as said:
        assert await asyncio.wait_for(asyncio.to_thread(said.readline), 60) == b"THERE\n"
        process.kill()
        await asyncio.to_thread(process.wait)
    await reviewed.as_it_is()  # it is nobody else's yet
    committed = where == "committed"
    assert ((await reviewed.row()).stage == "QUEUED") == committed
    await reviewed.round()
    row = await reviewed.row()
    assert (row.stage, row.pull_request_reviews, row.feedback.count("Use the helper.")) == ("QUEUED", 1, 1)
    assert len(await reviewed.events("message")) == 1
    await reviewed.rows.run("UPDATE jobs SET stage = 'DONE', epoch = 2 WHERE id = :id", id=reviewed.job.uuid)
    await reviewed.round()
    assert (await reviewed.row()).stage == "DONE"


async def test_a_worker_looks_by_itself(reviewed: Reviewed, parts: Parts) -> None:
    settings = {"PAVO_JOB_REVIEW_SECONDS": "60", "PAVO_FORGE_NETWORKS": "127.0.0.0/8"}
    reviewed.say("acme", "Use the helper.")
    worker = await parts.start("worker", TEMPORAL_TASK_QUEUE=f"reviews-{uuid.uuid4().hex[:8]}", **settings)  # type: ignore[arg-type]
    try:

        async def goes_on() -> bool:
            return (await reviewed.row()).stage == "QUEUED"

        await until(goes_on, seconds=60, what="the job to go on")
    finally:
        worker.end()


async def test_nothing_open_asks_nobody(reviewed: Reviewed) -> None:
    await reviewed.rows.run("UPDATE jobs SET stage = 'EXECUTING' WHERE id = :id", id=reviewed.job.uuid)
    before = len(reviewed.forge.requests)
    await reviewed.round()
    assert len(reviewed.forge.requests) == before


def comment(number: int, text: str = "Hello") -> Comment:
    return Comment(f"comment-{number}", "ada", text, datetime(2026, 1, 1, tzinfo=UTC))


def test_what_is_told_is_bounded_and_quoted() -> None:
    told = feedback_of([comment(number, f"# {number}\0\n" + "x" * 50_000) for number in range(50)])
    assert len(told) < MAX_FEEDBACK + 200 and "more comments" in told and "\0" not in told
    assert all(line.startswith(">") for line in told.splitlines() if "#" in line)


def test_what_was_taken_is_known_also_by_a_giant_name() -> None:
    giant = Comment("comment-" + "9" * 5_000, "ada", "Hello", datetime(2026, 1, 1, tzinfo=UTC))
    assert unseen([giant, comment(1)], seen_after([], [giant])) == [comment(1)]


def test_older_ones_are_looked_at_more_seldom() -> None:
    assert interval(60, timedelta(minutes=5)) == 60
    assert interval(60, timedelta(hours=10)) == 600
    assert interval(60, timedelta(days=300)) == 6 * 3600
    assert interval(86_400, timedelta(days=300)) == 86_400


async def test_a_removed_job_has_no_open_pull_request(reviewed: Reviewed, database: Database) -> None:
    async with database.reading() as session:
        assert await sql.seconds_until_next(session) == 0.0
    async with database.transaction() as session:
        await bury(session, reviewed.job.uuid)
    async with database.reading() as session:
        assert await sql.seconds_until_next(session) != 0.0, "workers would ask for it without a pause"
    row = await reviewed.row()
    assert (row.pull_request_state, row.pull_request_number) == (None, None)


async def test_a_round_that_fails_has_ended_all_its_looks(
    forge: Forge, reviewed: Reviewed, publisher: Publisher
) -> None:
    other = await another(forge, reviewed.rows, publisher)
    ended: list[uuid.UUID] = []

    class Slow(Looking):
        async def look(self, one: OpenPullRequest) -> Taken:
            bad = one.job_id == reviewed.job.uuid
            if not bad:
                await asyncio.sleep(0.3)  # a slow forge
                ended.append(one.job_id)
            return Taken("open\0" if bad else "open", None, (), {}, 60.0)

    async def tell(organisation_id: uuid.UUID) -> None:
        reviewed.told.append(organisation_id)

    looking = Slow(
        httpx2.AsyncClient(), SecretService(reviewed.rows.database, KeyRing.of(SealingSettings())), reviewed.limits
    )
    with pytest.raises(Exception, match=r"NUL|0x00|\\x00|null"):
        await PullRequestPolling(reviewed.rows.database, publisher, looking, tell).round()
    assert other.job.uuid in ended
