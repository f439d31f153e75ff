"""From the worktree to the pull request, and cleaning up."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.clean import CleaningHandler
from pavo.remote.commands.publish import PublishingHandler
from pavo.remote.work import CommandFailed
from pavo.remote.workspaces import Workspaces
from tests.forges.small_forge import Forge
from tests.remote.git.attempts import TOKEN, GivesCredentials, attempt, carried_out, patches, write

BRANCH = "pavo/job"


Publish = Callable[[str, pb.CreatePullRequest], Awaitable[pb.Published | CommandFailed]]


@pytest.fixture
def publish(workspaces: Workspaces, credentials: GivesCredentials) -> Publish:
    """The handler's answer for the first attempt at a job."""

    async def publish(job_id: str, request: pb.CreatePullRequest) -> pb.Published | CommandFailed:
        command = pb.Command(id="c", job_id=job_id, epoch=1, create_pull_request=request)
        done, log = await carried_out(PublishingHandler(workspaces, credentials, patches(workspaces)), command)
        assert TOKEN not in log
        return done.published if isinstance(done, pb.Result) else done

    return publish


async def cleaned(workspaces: Workspaces, job_id: str, epoch: int = 1) -> pb.Cleaned | CommandFailed:
    command = pb.Command(id="c", cleanup=pb.Cleanup(job_id=job_id, epoch=epoch))
    done, _ = await carried_out(CleaningHandler(workspaces, GivesCredentials(), patches(workspaces)), command)
    return done.cleaned if isinstance(done, pb.Result) else done


@pytest.fixture
def request_(small_forge: Forge, repository: str) -> pb.CreatePullRequest:
    where = pb.Repository(clone_url=small_forge.clone_url(repository), default_branch="main", forge="gitea")
    return pb.CreatePullRequest(
        repository=where,
        base_branch="main",
        branch=BRANCH,
        push_branch=BRANCH,
        title="Mend $(it)",
        body="What was asked, done, verified.",
        commit_message="Mend it",
    )


async def test_a_pull_request_is_opened_and_then_updated(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    request_: pb.CreatePullRequest,
    publish: Publish,
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, request_.repository.clone_url, "main", BRANCH)
    write(made, "x", "x")
    first = await publish(job.job_id, request_)
    assert isinstance(first, pb.Published) and first.number == 1 and not first.updated and first.branch == BRANCH
    assert first.commit == small_forge.branch(repository, BRANCH) and f"/{repository}/pulls/1" in first.url
    again = await publish(job.job_id, request_)  # its answer was lost
    assert isinstance(again, pb.Published) and again.updated and again.commit == first.commit
    write(made, "y", "y")
    request_.title = "Mend it more"
    more = await publish(job.job_id, request_)
    assert isinstance(more, pb.Published) and more.number == 1 and more.commit != first.commit
    pull = small_forge.pull(repository, 1)
    assert (pull.title, pull.body, pull.sha) == ("Mend it more", request_.body, more.commit)
    assert {each[2] for each in credentials.asked} == {"git", "forge"}
    freed = await cleaned(workspaces, job.job_id)
    assert isinstance(freed, pb.Cleaned) and freed.freed_bytes > 0 and not Path(made.place).exists()
    assert isinstance(await cleaned(workspaces, job.job_id), pb.Cleaned)


async def test_nothing_that_differs_is_no_failure(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    request_: pb.CreatePullRequest,
    publish: Publish,
) -> None:
    job, _ = attempt(credentials)
    await workspaces.prepare(job, request_.repository.clone_url, "main", BRANCH)
    assert await publish(job.job_id, request_) == pb.Published()
    assert small_forge.branch(repository, BRANCH) is None and small_forge.of(repository) == []


async def test_a_lost_attempt_leaves_its_work_beside_the_branch(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    request_: pb.CreatePullRequest,
    publish: Publish,
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, request_.repository.clone_url, "main", BRANCH)
    write(made, "x", "x")
    request_.push_branch = f"{BRANCH}--epoch-1"
    done = await publish(job.job_id, request_)
    assert isinstance(done, pb.Published) and done.url == "" and done.branch == f"{BRANCH}--epoch-1"
    assert small_forge.branch(repository, BRANCH) is None and small_forge.of(repository) == []
    assert small_forge.branch(repository, done.branch) == done.commit


async def test_without_a_forge_branches_are_pushed(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    request_: pb.CreatePullRequest,
    publish: Publish,
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, request_.repository.clone_url, "main", BRANCH)
    write(made, "x", "x")
    request_.repository.forge = ""
    done = await publish(job.job_id, request_)
    assert isinstance(done, pb.Published) and done.commit and not done.url and small_forge.of(repository) == []


async def test_failures_tell_what_was_done_nevertheless(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    request_: pb.CreatePullRequest,
    publish: Publish,
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, request_.repository.clone_url, "main", BRANCH)
    write(made, "x", "x")
    for status, type_, retryable in ((401, "ForgeRefused", False), (429, "ForgeAway", True)):
        small_forge.interfere = lambda method, path, status=status: (
            (status, {"Retry-After": "7"}, b'{"message": "no"}') if "/api/" in path else None
        )
        failed = await publish(job.job_id, request_)
        assert isinstance(failed, CommandFailed) and (failed.kind, failed.retryable) == (type_, retryable)
        assert failed.remedy and small_forge.branch(repository, BRANCH) is not None
    small_forge.interfere = lambda method, path: None
    credentials.refused = "epoch 1 is over"
    write(made, "y", "y")
    lost = await publish(job.job_id, request_)
    assert isinstance(lost, CommandFailed) and lost.kind == "CredentialRefused" and "epoch 1 is over" in lost.detail
    credentials.refused = ""
    done = await publish(job.job_id, request_)
    assert isinstance(done, pb.Published) and done.number == 1


async def test_odd_requests_are_failures(workspaces: Workspaces, publish: Publish) -> None:
    for told in (
        await publish("../../etc", pb.CreatePullRequest()),
        await cleaned(workspaces, "../x"),
        await cleaned(workspaces, "x", -1),
    ):
        assert isinstance(told, CommandFailed) and told.kind and told.detail


@pytest.mark.parametrize(("forge", "api"), [("gitea", "/api/v1"), ("github", "/api/v3"), ("gitlab", "/api/v4")])
async def test_the_forge_shows_beside_the_commit_how_the_checks_ended(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    request_: pb.CreatePullRequest,
    forge: str,
    api: str,
) -> None:
    request_.repository.forge, request_.repository.forge_url = forge, f"{small_forge.url}{api}"
    status = pb.CommitStatus(
        state="success", context="pavo/verification", description="2 checks passed", url="http://x"
    )
    request_.status.CopyFrom(status)
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, request_.repository.clone_url, "main", BRANCH)
    handler = PublishingHandler(workspaces, credentials, patches(workspaces))
    command = pb.Command(id="c", job_id=job.job_id, epoch=1, create_pull_request=request_)
    write(made, "x", "x")
    done, log = await carried_out(handler, command)
    assert isinstance(done, pb.Result) and "pavo/verification is success" in log
    [shown] = [each for each in small_forge.statuses if each["commit"] == done.published.commit]
    count = len(small_forge.statuses)
    told = (shown["commit"], shown["state"], shown["context"], shown["description"], shown["target_url"])
    assert told == (done.published.commit, "success", "pavo/verification", "2 checks passed", "http://x")
    command.create_pull_request.status.state = "failure"
    await carried_out(handler, command)
    assert small_forge.statuses[-1]["state"] == ("failed" if forge == "gitlab" else "failure")

    def refuse(method: str, path: str) -> Any:
        """Of a token that may open pull requests, and no more."""
        return (403, {}, b'{"message": "Resource not accessible"}') if "/statuses/" in path else None

    small_forge.interfere = refuse
    write(made, "y", "y")
    done, log = await carried_out(handler, command)
    assert isinstance(done, pb.Result) and done.published.number == 1 and done.published.updated
    assert "does not show pavo/verification" in log and "right to write statuses" in log
    assert len(small_forge.statuses) == count + 1
    command.create_pull_request.ClearField("status")
    small_forge.interfere = lambda *_: None
    _, log = await carried_out(handler, command)
    assert "pavo/verification" not in log and len(small_forge.statuses) == count + 1


async def test_gitlab_has_the_same_status_already(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    request_: pb.CreatePullRequest,
) -> None:
    """It refuses the same once more, as where an answer was lost."""
    request_.repository.forge, request_.repository.forge_url = "gitlab", f"{small_forge.url}/api/v4"
    request_.status.CopyFrom(pb.CommitStatus(state="success", context="pavo/verification"))
    said = b'{"message": "Cannot transition status via :succeed from :success (Reason(s): Status cannot transition)"}'
    small_forge.interfere = lambda _, path: (400, {}, said) if "/statuses/" in path else None
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, request_.repository.clone_url, "main", BRANCH)
    write(made, "x", "x")
    command = pb.Command(id="c", job_id=job.job_id, epoch=1, create_pull_request=request_)
    _, log = await carried_out(PublishingHandler(workspaces, credentials, patches(workspaces)), command)
    assert "pavo/verification is success" in log
