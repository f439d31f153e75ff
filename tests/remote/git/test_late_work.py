"""What a lost attempt has changed: kept on its fenced branch, and taken over by another attempt."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.late import LateWorkHandler
from pavo.remote.work import CommandFailed
from pavo.remote.workspaces import Beginning, Workspaces
from tests.forges.small_forge import Forge
from tests.remote.git.attempts import GivesCredentials, attempt, carried_out, git, patches, write

BRANCH = "pavo/job"
FENCED = f"{BRANCH}--epoch-1"


def late(workspaces: Workspaces, credentials: GivesCredentials) -> LateWorkHandler:
    return LateWorkHandler(workspaces, credentials, patches(workspaces))


def to_keep(forge: Forge, repository: str, job_id: str, push_branch: str = FENCED) -> pb.Command:
    where = pb.Repository(clone_url=forge.clone_url(repository), default_branch="main", forge="gitea")
    keep = pb.KeepLateWork(repository=where, base_branch="main", branch=BRANCH, push_branch=push_branch)
    return pb.Command(id="c", job_id=job_id, epoch=1, keep_late_work=keep)


async def test_commits_and_what_is_not_committed_go_to_the_fenced_branch_alone(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "committed", "by the program")
    git(made, "add", ".")
    git(made, "commit", "-m", "Half of it")
    write(made, "left", "as it was")
    handler, command = (
        late(workspaces, credentials),
        to_keep(small_forge, repository, job.job_id),
    )
    done, _ = await carried_out(handler, command)
    assert isinstance(done, pb.Result) and done.published.branch == FENCED and not done.published.url
    assert small_forge.branch(repository, FENCED) == done.published.commit
    assert small_forge.file(repository, FENCED, "committed") == "by the program"
    assert small_forge.file(repository, FENCED, "left") == "as it was"
    assert small_forge.branch(repository, BRANCH) is None and small_forge.of(repository) == []
    again, _ = await carried_out(handler, command)  # the answer was lost
    assert isinstance(again, pb.Result) and again.published == done.published


async def test_an_attempt_that_changed_nothing_leaves_nothing(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    await workspaces.prepare(job, small_forge.clone_url(repository), "main", "pavo/work")  # with commits of others
    done, _ = await carried_out(late(workspaces, credentials), to_keep(small_forge, repository, job.job_id))
    assert done == pb.Result(published=pb.Published()) and small_forge.branch(repository, FENCED) is None


async def test_no_other_branch_is_pushed_to(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    before = small_forge.branch(repository, "main")
    for wrong in ("", BRANCH, "main"):
        failed, _ = await carried_out(
            late(workspaces, credentials),
            to_keep(small_forge, repository, job.job_id, wrong),
        )
        assert isinstance(failed, CommandFailed) and failed.kind == "PushRefused", wrong
    credentials.allowed = FENCED  # whatever the command says: the gateway says where the attempt may push
    failed, _ = await carried_out(
        late(workspaces, credentials),
        to_keep(small_forge, repository, job.job_id, "pavo/other"),
    )
    assert isinstance(failed, CommandFailed) and failed.kind == "CredentialRefused" and FENCED in failed.detail
    with pytest.raises(CommandFailed, match="may not be pushed"):
        await workspaces.push(made, made.start_commit, BRANCH, job)
    assert small_forge.branch(repository, "main") == before and small_forge.branch(repository, BRANCH) is None


@pytest.mark.parametrize("newer", [False, True])
async def test_adopted_work_becomes_the_jobs_branch_and_what_it_replaces_is_kept(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, newer: bool
) -> None:
    first = small_forge.branch(repository, "main")
    late = small_forge.commit(repository, {"late.txt": "late"}, "Late", [first])
    small_forge.git(repository, "update-ref", f"refs/heads/{FENCED}", late)
    replaced = None
    if newer:  # a newer attempt was done meanwhile
        replaced = small_forge.commit(repository, {"newer.txt": "newer"}, "Newer", [first])
        small_forge.git(repository, "update-ref", f"refs/heads/{BRANCH}", replaced)
    job, _ = attempt(credentials, epoch=3)
    url = small_forge.clone_url(repository)
    made = await workspaces.prepare(job, url, "main", BRANCH, Beginning(FENCED, late))
    assert (Path(made.place) / "late.txt").read_text() == "late" and not (Path(made.place) / "newer.txt").exists()
    assert await workspaces.prepare(job, url, "main", BRANCH, Beginning(FENCED, late)) == made
    kept = await workspaces.push(made, late, BRANCH, job)
    assert await workspaces.push(kept, late, BRANCH, job) == kept
    assert small_forge.branch(repository, BRANCH) == late == small_forge.branch(repository, FENCED)
    assert small_forge.branch(repository, f"{BRANCH}--before-epoch-3") == replaced


async def test_adopted_work_that_somebody_changed_is_not_taken(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    url, other = small_forge.clone_url(repository), small_forge.branch(repository, "main")
    for branch in ("pavo/work", "pavo/nowhere"):
        with pytest.raises(CommandFailed, match="was to be") as failed:
            await workspaces.prepare(job, url, "main", BRANCH, Beginning(branch, str(other)))
        assert failed.value.kind == "BranchMissing" and failed.value.remedy
    with pytest.raises(CommandFailed):
        await workspaces.prepare(job, url, "main", BRANCH, Beginning("--upload-pack=x", str(other)))


async def test_the_worktree_of_a_lost_attempt_is_not_the_newer_ones(
    make: Callable[..., Workspaces], credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    """Both on one machine, on one branch."""
    workspaces = make()
    old, _ = attempt(credentials)
    first = await workspaces.prepare(old, small_forge.clone_url(repository), "main", BRANCH)
    write(first, "old", "old")
    new, _ = attempt(credentials, job_id=old.job_id, epoch=2)
    second = await workspaces.prepare(new, small_forge.clone_url(repository), "main", BRANCH)
    write(second, "new", "new")
    done, _ = await carried_out(late(workspaces, credentials), to_keep(small_forge, repository, old.job_id))
    assert isinstance(done, pb.Result) and small_forge.file(repository, FENCED, "old") == "old"
    assert (await workspaces.commit(second, "New", new)).files[0].path == "new"
    await workspaces.remove(old.job_id, 1)
    assert (Path(second.place) / "new").exists() and (await workspaces.difference(second, new)).changed
