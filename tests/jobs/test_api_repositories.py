"""Repositories over HTTP: what is taken, what is refused and why, and who may do what."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import update

from pavo.accounts.secrets.models import SecretRow
from pavo.errors import InvalidInput
from pavo.jobs.repositories.domain import RepositoryValues, checked, checked_branch
from pavo.jobs.sql.models import JobRow
from pavo.kit.sql import Database
from tests.jobs.organisations import Person, add_job, member_of, somebody

URL = "https://git.example.com/acme/site.git"


async def test_added_changed_listed_and_removed(owner: Person) -> None:
    checks = [{"name": "tests", "command": "make test", "timeout_seconds": 60}]
    new = {"name": "acme/site", "clone_url": f" {URL} ", "forge": "github", "verify": checks, "draft": True}
    added = await owner.post("repositories", status=201, **new)
    assert added["clone_url"] == URL and added["default_branch"] == "main" and added["verify"] == checks
    assert added["username"] == "x-access-token" and added["credential"] is None and added["created_by"]
    assert (added["author_name"], added["author_email"]) == ("Pavo", "pavo@localhost")
    assert await owner.get("repositories", added["id"]) == added
    changed = await owner.send(
        "PATCH", "repositories", added["id"], json={"name": "site", "prepare": [{"name": "deps", "command": "make"}]}
    )
    assert changed["name"] == "site" and changed["prepare"][0]["timeout_seconds"] == 600
    assert changed["verify"] == checks and changed["draft"] is True and changed["updated_at"] > added["updated_at"]
    assert [each["name"] for each in (await owner.get("repositories"))["items"]] == ["site"]
    await owner.send("DELETE", "repositories", added["id"], status=204)
    await owner.get("repositories", added["id"], status=404)
    await owner.send("DELETE", "repositories", added["id"], status=404)
    assert (await owner.get("repositories"))["items"] == []
    await owner.post("repositories", status=201, name="site", clone_url=URL)


BAD: list[tuple[str, Any]] = [
    ("name", ""),
    ("name", "-x"),
    ("name", "a b"),
    ("name", "a//b"),
    ("name", "a/../b"),
    ("name", "é"),
    ("clone_url", ""),
    ("clone_url", "git@github.com:acme/site.git"),
    ("clone_url", "ssh://git@github.com/acme/site.git"),
    ("clone_url", "file:///etc/passwd"),
    ("clone_url", "ext::sh -c whoami"),
    ("clone_url", "--upload-pack=/bin/sh"),
    ("clone_url", "https://--upload-pack=x/site.git"),
    ("clone_url", "https://git.example.com/--upload-pack=x"),
    ("clone_url", "https://user:word@git.example.com/site.git"),
    ("clone_url", "https://token@git.example.com/site.git"),
    ("clone_url", "https://git.example.com/site.git?x=1"),
    ("clone_url", "https://git.example.com/site.git#x"),
    ("clone_url", "https://git.example.com:99999/x"),
    ("clone_url", "https://"),
    ("clone_url", "https://git.example.com/a b"),
    ("clone_url", "https://git.example.com/a\nb"),
    ("default_branch", "-x"),
    ("default_branch", "a..b"),
    ("default_branch", "a b"),
    ("forge", "sourcehut"),
    ("forge_url", "https://api.example.com"),
    ("credential", "NO_SUCH_SECRET"),
    ("username", "a:b"),
    ("author_name", "..."),
    ("author_name", "a\nb"),
    ("author_name", "Mal <mal@example.com>"),
    ("author_email", "nobody"),
    ("author_email", "a b@example.com"),
    ("author_email", "<a@example.com>"),
    ("author_email", "a@example.com\n[core]"),
    ("author_email", 'a"@example.com'),
    ("verify_rounds", -1),
    ("verify_rounds", 11),
    ("verify", [{"name": "a", "command": "x"}, {"name": "a", "command": "y"}]),
    ("verify.0.name", [{"name": " ", "command": "x"}]),
    ("verify.0.command", [{"name": "a", "command": " "}]),
    ("verify.0.timeout_seconds", [{"name": "a", "command": "x", "timeout_seconds": 0}]),
    ("verify.0.timeout_seconds", [{"name": "a", "command": "x", "timeout_seconds": 86_401}]),
    ("prepare", [{"name": f"c{each}", "command": "x"} for each in range(21)]),
    ("nonsense", 1),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=[f"{field} {str(value)[:40]!r}" for field, value in BAD])
async def test_what_is_wrong_is_named_and_changes_nothing(owner: Person, field: str, value: Any) -> None:
    whole = {"name": "site", "clone_url": URL} | {field.partition(".")[0]: value}
    refused = await owner.post("repositories", status=422, **whole)
    assert refused["field"] == field and refused["remedy"], refused
    assert (await owner.get("repositories"))["items"] == []
    kept = await owner.post("repositories", status=201, name="kept", clone_url=URL)
    change = {field.partition(".")[0]: value}
    again = await owner.send("PATCH", "repositories", kept["id"], json=change, status=422)
    assert again["field"] == field and await owner.get("repositories", kept["id"]) == kept


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:3000/a/b.git", "https://[::1]/x", "https://h/~ada/x.git"])
def test_addresses_that_are_taken(url: str) -> None:
    assert checked(RepositoryValues("x", url)).clone_url == url


@pytest.mark.parametrize("name", ["main", "feature/x", "a.b", "a-b_c", "ünï", "v1@x", "refs/heads/main"])
def test_branches_that_are_taken(name: str) -> None:
    assert checked_branch(name, "x") == name.removeprefix("refs/heads/")


@pytest.mark.parametrize(
    "name",
    ["", " ", "@", "HEAD", "-a", "/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", "a..b", "a@{b", "a~b",
     "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a b", "a\tb", "a\x00b", "a\x7fb", "a" * 201, "refs/heads/-x"],
)  # fmt: skip
def test_branches_that_are_not(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_branch(name, "base_branch")
    assert refused.value.field == "base_branch" and refused.value.remedy


async def test_a_credential_is_the_name_of_a_secret(database: Database, owner: Person) -> None:
    async with database.transaction() as session:
        session.add(SecretRow(organisation_id=owner.organisation_id, name="GITHUB_TOKEN", sealed=b"x"))
    new = {"name": "site", "clone_url": URL, "credential": "GITHUB_TOKEN"}
    added = await owner.post("repositories", status=201, **new)
    assert added["credential"] == "GITHUB_TOKEN"
    changed = await owner.send("PATCH", "repositories", added["id"], json={"credential": None})
    assert changed["credential"] is None


async def test_a_name_is_one_repositorys(owner: Person) -> None:
    several = [owner.client.post(owner.path("repositories"), json={"name": "site", "clone_url": URL}) for _ in range(5)]
    answers = await asyncio.gather(*several)
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409]
    refused = next(each.json() for each in answers if each.status_code == 409)
    assert refused["field"] == "name" and refused["remedy"]
    other = await owner.post("repositories", status=201, name="other", clone_url=URL)
    taken = await owner.send("PATCH", "repositories", other["id"], json={"name": "site"}, status=409)
    assert taken["field"] == "name" and (await owner.get("repositories", other["id"]))["name"] == "other"


async def test_one_with_open_jobs_stays(database: Database, owner: Person) -> None:
    added = await owner.post("repositories", status=201, name="site", clone_url=URL)
    job_id = await add_job(database, owner.organisation_id, added["id"])
    for stage in ("QUEUED", "EXECUTING", "CLEANING"):
        async with database.transaction() as session:
            await session.execute(update(JobRow).where(JobRow.id == job_id).values(stage=stage))
        refused = await owner.send("DELETE", "repositories", added["id"], status=409)
        assert "1 of its jobs" in refused["detail"] and "pavo job cancel" in refused["remedy"]
    async with database.transaction() as session:
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(stage="DONE"))
    await owner.send("DELETE", "repositories", added["id"], status=204)
    async with database.reading() as session:
        assert await session.get(JobRow, job_id) is not None, "jobs that are over stay"


async def test_members_see_and_owners_change(stack: str, owner: Person) -> None:
    added = await owner.post("repositories", status=201, name="site", clone_url=URL)
    async with somebody(stack) as other:
        foreign = Person(other.client, owner.organisation_id)
        unknown = Person(other.client, uuid.uuid4())
        answers = [await each.get("repositories", status=404) for each in (foreign, unknown)]
        assert answers[0] == answers[1]
        await foreign.get("repositories", added["id"], status=404)
        await foreign.post("repositories", status=404, name="x", clone_url=URL)
        await foreign.send("DELETE", "repositories", added["id"], status=404)
        await other.get("repositories", added["id"], status=404)
        member = await member_of(owner, other.client)
        assert await member.get("repositories", added["id"]) == added
        await member.post("repositories", status=403, name="x", clone_url=URL)
        await member.send("PATCH", "repositories", added["id"], status=403, json={"name": "x"})
        await member.send("DELETE", "repositories", added["id"], status=403)
    assert await owner.get("repositories", added["id"]) == added
