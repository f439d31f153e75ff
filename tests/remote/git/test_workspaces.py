"""Worktrees: made, gone on with, committed, pushed, removed; against real git over HTTP."""

import asyncio
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pavo.remote.errands.failures import (
    BAD_REPOSITORY,
    BRANCH_MISSING,
    CLONE_FAILED,
    CREDENTIAL_REFUSED,
    PUSH_REFUSED,
    WORKSPACE_LOST,
)
from pavo.remote.git.repositories import Repositories
from pavo.remote.git.snapshots import Author
from pavo.remote.work import CommandFailed
from pavo.remote.workspaces import Beginning, Workspaces
from tests.forges.small_forge import Forge
from tests.remote.git.attempts import GivesCredentials, attempt, git, write

BRANCH = "pavo/job"


async def test_what_a_program_does_reaches_the_server(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    assert git(made, "rev-parse", "--abbrev-ref", "HEAD") == BRANCH and git(made, "status", "--porcelain") == ""
    assert str(made.place) in git(made, "worktree", "list")
    assert not (await workspaces.difference(made, job)).changed
    write(made, "own.txt", "the program's own commit\n")
    git(made, "add", ".")
    git(made, "commit", "-qm", "Of the program")
    write(made, "README.md", "Changed\n")
    write(made, "new/file.txt", "one\ntwo\n")
    write(made, ".gitignore", "ignored/\n")
    write(made, "ignored/x", "x")
    found = await workspaces.difference(made, job)
    assert found.changed and found.uncommitted and found.since_start
    assert [(each.path, each.change, each.added, each.removed) for each in found.files] == [
        (".gitignore", "added", 1, 0),
        ("README.md", "modified", 1, 1),
        ("new/file.txt", "added", 2, 0),
        ("own.txt", "added", 1, 0),
    ]
    committed = await workspaces.commit(made, "What was asked; $(touch x) `y`\n\nBody", job)
    assert git(made, "status", "--porcelain") == "" and git(made, "rev-parse", "HEAD") == committed.commit
    again = await workspaces.commit(made, "Nothing more", job)
    assert again.commit == committed.commit and not again.uncommitted
    pushed = await workspaces.push(made, committed.commit, BRANCH, job)
    assert small_forge.branch(repository, BRANCH) == committed.commit == pushed.remote_commit
    assert small_forge.file(repository, BRANCH, "new/file.txt") == "one\ntwo"
    said = small_forge.git(repository, "log", "-2", "--format=%an <%ae> %s", BRANCH)
    assert said == "Pavo <pavo@localhost> What was asked; $(touch x) `y`\nprogram <program@x> Of the program"
    assert small_forge.git(repository, "ls-tree", "-r", "--name-only", BRANCH).count("ignored/") == 0
    await workspaces.push(pushed, committed.commit, BRANCH, job)  # whose answer was lost
    assert "is at the server" not in log.text.replace("is " + committed.commit + " at", "")
    assert await workspaces.remove(job.job_id, job.epoch) > 0
    assert not Path(made.place).exists() and await workspaces.remove(job.job_id, job.epoch) == 0


async def test_another_attempt_goes_on_with_the_branch(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    url = small_forge.clone_url(repository)
    first, _ = attempt(credentials)
    one = await workspaces.prepare(first, url, "main", "pavo/work")
    assert one.start_commit == small_forge.branch(repository, "pavo/work") == one.remote_commit
    assert await workspaces.prepare(first, url, "main", "pavo/work") == one == workspaces.find(first.job_id, 1)
    plan = await workspaces.prepare(first, url, "main", "pavo/plan")
    write(plan, "thrown-away.txt", "x")
    one = await workspaces.prepare(first, url, "main", "pavo/work")
    assert not Path(one.place, "thrown-away.txt").exists() and one.branch == "pavo/work"
    write(one, "first.txt", "left behind")
    second, _ = attempt(credentials, first.job_id, 2)
    two = await workspaces.prepare(second, url, "main", "pavo/work")
    assert Path(two.place).joinpath("work.txt").read_text() == "done\n" and two.place != one.place
    assert not Path(two.place).joinpath("first.txt").exists() and two.local_branch != one.local_branch
    found = await workspaces.difference(two, second)
    assert found.changed and not found.since_start  # what was done before; and nothing yet in this attempt
    await workspaces.remove(first.job_id, 1)
    write(two, "second.txt", "more")
    made = await workspaces.commit(two, "More", second)
    await workspaces.push(two, made.commit, "pavo/work", second)
    assert small_forge.file(repository, "pavo/work", "second.txt") == "more"


async def test_a_program_that_rewrites_its_branch_is_pushed_with_lease(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", "pavo/work")
    git(made, "commit", "-q", "--amend", "-m", "Rewritten")
    found = await workspaces.commit(made, "x", job)
    await workspaces.push(made, found.commit, "pavo/work", job)
    assert small_forge.git(repository, "log", "-1", "--format=%s", "pavo/work") == "Rewritten"


async def test_what_somebody_else_pushed_is_never_overwritten(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", "pavo/work")
    theirs = small_forge.commit(repository, {"theirs.txt": "x"}, "Theirs", [made.start_commit])
    small_forge.git(repository, "update-ref", "refs/heads/pavo/work", theirs)
    write(made, "ours.txt", "x")
    found = await workspaces.commit(made, "Ours", job)
    with pytest.raises(CommandFailed) as refused:
        await workspaces.push(made, found.commit, "pavo/work", job)
    assert refused.value.kind == PUSH_REFUSED and "Somebody else" in refused.value.detail and refused.value.remedy
    assert small_forge.branch(repository, "pavo/work") == theirs
    await workspaces.push(made, found.commit, "pavo/work--epoch-1", job)  # where a lost attempt leaves its work
    assert small_forge.branch(repository, "pavo/work--epoch-1") == found.commit


async def test_a_server_that_refuses_a_push_is_heard(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    hook = small_forge.place(repository) / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho this branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    found = await workspaces.commit(made, "x", job)
    with pytest.raises(CommandFailed) as refused:
        await workspaces.push(made, found.commit, BRANCH, job)
    assert refused.value.kind == PUSH_REFUSED and "this branch is protected" in refused.value.detail


async def test_credentials_that_are_refused_push_nothing(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    found = await workspaces.commit(made, "x", job)

    async def fails() -> CommandFailed:
        with pytest.raises(CommandFailed) as failed:
            await workspaces.push(made, found.commit, BRANCH, job)
        assert small_forge.branch(repository, BRANCH) is None
        return failed.value

    credentials.refused = "epoch 1 does not hold the job"
    lost = await fails()
    assert lost.kind == CREDENTIAL_REFUSED and "epoch 1 does not hold" in lost.detail and not lost.retryable
    credentials.refused, credentials.away = "", True
    away = await fails()
    assert away.retryable and "nobody answers" in away.detail
    credentials.away = False
    for wrong in ("token-that-was-revoked", "token-that-reads", "two\nlines"):
        credentials.password = wrong
        denied = await fails()
        assert denied.kind == CREDENTIAL_REFUSED and wrong not in f"{denied.detail}{denied.remedy}"
    assert {(each[0], each[2]) for each in credentials.asked} == {(job.job_id, "git")}


async def test_what_is_not_there(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    async def fails(url: str, base: str = "main") -> CommandFailed:
        job, _ = attempt(credentials)
        with pytest.raises(CommandFailed) as failed:
            await workspaces.prepare(job, url, base, BRANCH)
        with pytest.raises(CommandFailed) as lost:
            workspaces.find(job.job_id, job.epoch)
        assert lost.value.kind == WORKSPACE_LOST and failed.value.remedy
        return failed.value

    assert (await fails(small_forge.clone_url(repository), "nowhere")).kind == BRANCH_MISSING
    assert (await fails(small_forge.clone_url("acme/none"))).kind == BAD_REPOSITORY
    away = await fails("http://127.0.0.1:9/acme/thing.git")
    assert away.kind == CLONE_FAILED and away.retryable


async def test_a_server_that_says_nothing_is_given_up(
    make: Callable[..., Workspaces], credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    small_forge.interfere = lambda method, path: time.sleep(3)  # type: ignore[func-returns-value]
    job, _ = attempt(credentials)
    begun = time.monotonic()
    with pytest.raises(CommandFailed) as slow:
        await make(transfer_seconds=1).prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    assert slow.value.retryable and "longer than 1 s" in slow.value.detail and time.monotonic() - begun < 15


async def test_what_a_killed_agent_left_does_not_stand_in_the_way(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, tmp_path: Path
) -> None:
    url = small_forge.clone_url(repository)
    first, _ = attempt(credentials)
    made = await workspaces.prepare(first, url, "main", BRANCH)
    kept = next((tmp_path / "state" / "repositories").glob("*/transfers.git"))
    for name in ("packed-refs.lock", "HEAD.lock", "refs/pavo/x.lock"):
        (kept / name).touch()
    second, _ = attempt(credentials)
    half = Path(made.place).with_name(f"{second.job_id}--1")
    half.mkdir()
    half.joinpath("rest").touch()
    shutil.copytree(made.git_directory, Path(made.git_directory).with_name(half.name))
    found = await workspaces.prepare(second, url, "main", "pavo/other")
    assert sorted(each.name for each in Path(found.place).iterdir()) == [".git", "README.md"]


async def test_attempts_at_one_repository_side_by_side(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    url = small_forge.clone_url(repository)

    async def work(number: int) -> None:
        job, _ = attempt(credentials)
        made = await workspaces.prepare(job, url, "main", f"pavo/{number}")
        write(made, f"{number}.txt", str(number))
        found = await workspaces.commit(made, f"Number {number}", job)
        assert [each.path for each in found.files] == [f"{number}.txt"]
        await workspaces.push(made, found.commit, f"pavo/{number}", job)
        await workspaces.remove(job.job_id, job.epoch)

    await asyncio.gather(*(work(number) for number in range(4)))
    assert [small_forge.file(repository, f"pavo/{each}", f"{each}.txt") for each in range(4)] == list("0123")


async def test_old_worktrees_go_and_the_quota_holds(
    make: Callable[..., Workspaces], credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    workspaces = make(quota_bytes=3_000_000)
    jobs = [attempt(credentials)[0] for _ in range(3)]
    made = [
        await workspaces.prepare(job, small_forge.clone_url(repository), "main", f"pavo/{number}")
        for number, job in enumerate(jobs)
    ]
    for each in made:
        Path(each.place, "large").write_bytes(b"x" * 2_000_000)
    late, _ = attempt(credentials)
    with pytest.raises(CommandFailed, match="of 3,000,000") as full:
        await workspaces.prepare(late, small_forge.clone_url(repository), "main", "pavo/late")
    assert full.value.kind == "NoSpace" and full.value.retryable
    running = {(jobs[0].job_id, 1)}
    home = workspaces.home_of(jobs[0].job_id, 1)
    assert 'name = "Pavo"' in (home / ".gitconfig").read_text() and made[0].writable[1].name == "shared.git"
    told: list[tuple[str, int, str]] = []
    workspaces.room.tell = lambda *what: told.append(what)
    lost = {(jobs[1].job_id, 1): False}
    assert await workspaces.make_room(dict.fromkeys(running, True) | lost) >= 4_000_000
    assert [Path(each.place).exists() for each in made] == [True, False, False]
    [(job_id, epoch, why)] = told  # what a lost attempt may not have pushed yet goes last, and not in silence
    assert (job_id, epoch) == (jobs[1].job_id, 1) and "quota" in why
    other = Path(made[0].place).with_name("somebody's own")
    other.mkdir()
    assert await workspaces.sweep(running, time.time() + 30 * 86_400) == 0
    assert await workspaces.sweep((), time.time() + 30 * 86_400) > 0
    assert not Path(made[0].place).exists() and other.exists()


async def test_ids_of_jobs_are_no_paths(workspaces: Workspaces) -> None:
    for odd in ("../../etc", "a/b", "", "x" * 65, "a\nb"):
        with pytest.raises(CommandFailed):
            await workspaces.remove(odd, 1)


def test_each_clone_url_has_a_repository_of_its_own(tmp_path: Path) -> None:
    repositories = Repositories(None, tmp_path)  # type: ignore[arg-type]
    urls = [f"https://{host}/{path}" for host in ("a", "b:1") for path in ("x/y.git", "x-y.git", "../..", "é")]
    places = {repositories.at(url).place for url in urls}
    assert len(places) == len(urls) and {each.parent for each in places} == {tmp_path}
    assert repositories.at(urls[0]) == repositories.at(urls[0]) and uuid


@pytest.mark.parametrize(
    ("name", "email", "wanted"),
    [
        ('Ada\'s "robot" \\ #;ü', "robot@example.com", 'Ada\'s "robot" \\ #;ü <robot@example.com>'),
        ("--author=x", "-x@example.com", "--author=x <-x@example.com>"),
        ("", "", "Pavo <pavo@localhost>"),
        ("Evil\n[core]\n\tfsmonitor = touch", "x@example.com", "Pavo <pavo@localhost>"),
        ("Evil <evil@example.com>", "x@example.com", "Pavo <pavo@localhost>"),
    ],
)
async def test_whose_commits_are_made(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    name: str,
    email: str,
    wanted: str,
) -> None:
    """By the agent, and by programs that use git's own settings; whatever a gateway says."""
    job, _ = attempt(credentials)
    beginning = Beginning(author=Author(name, email))
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH, beginning)
    home = workspaces.home_of(job.job_id, 1)
    scope = {"PATH": os.environ["PATH"], "HOME": str(home)}
    write(made, "x", "x")
    for command in (["add", "."], ["commit", "-qm", "By the program"]):
        subprocess.run(["git", *command], cwd=made.place, env=scope, check=True)
    write(made, "y", "y")
    found = await workspaces.commit(workspaces.find(job.job_id, 1), "By the agent", job)
    said = subprocess.run(
        ["git", "log", "-2", "--format=%an <%ae>|%cn <%ce>", found.commit],
        cwd=made.place,
        env=scope,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert said.splitlines() == [f"{wanted}|{wanted}"] * 2
    again = await workspaces.prepare(
        job, small_forge.clone_url(repository), "main", BRANCH, Beginning(author=Author("Other", "o@example.com"))
    )
    assert again.author_name == "Other" and again.place == made.place
