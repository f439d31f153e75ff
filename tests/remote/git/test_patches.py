"""The patch of an attempt: applied to its base it gives what was changed, and nothing fails for want of it."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands import patches as module
from pavo.remote.commands.clean import CleaningHandler
from pavo.remote.commands.late import LateWorkHandler
from pavo.remote.connection import SentFile
from pavo.remote.diagnosis import NotConnected, Refused
from pavo.remote.workspaces import Workspaces
from tests.forges.small_forge import Forge
from tests.remote.git.attempts import GivesCredentials, KeepsFiles, attempt, carried_out, git, patches, write
from tests.remote.git.test_hostile import small_disk  # noqa: F401
from tests.remote.git.test_late_work import to_keep

BRANCH = "pavo/job"
AWAY = NotConnected("Nobody answers.", "It is tried again.")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)


def applied(forge: Forge, repository: str, base: str, patch: bytes, folder: Path) -> str:
    """The tree that a patch makes of a commit."""
    forge_place = forge.place(repository)
    scope = {**os.environ, "GIT_DIR": str(forge_place), "GIT_INDEX_FILE": str(folder / "index")}
    subprocess.run(["git", "read-tree", base], env=scope, check=True)
    done = subprocess.run(["git", "apply", "--cached", "-"], env=scope, input=patch, capture_output=True)
    assert done.returncode == 0, done.stderr
    wrote = subprocess.run(["git", "write-tree"], env=scope, check=True, capture_output=True, text=True)
    return wrote.stdout.strip()


async def test_applied_to_its_base_it_gives_what_was_changed(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, tmp_path: Path
) -> None:
    gateway, marker = KeepsFiles(), tmp_path / "marker"
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, ".gitattributes", "* diff=evil -text\n*.bin binary\n")
    for name, value in {"command": f"touch {marker}", "textconv": f"touch {marker}"}.items():
        git(made, "config", f"diff.evil.{name}", value)
    git(made, "config", "diff.noprefix", "true")
    Path(made.place, "x y;$(touch z)\n.bin").write_bytes(os.urandom(3000) + b"\0\xff")
    write(made, "line.txt", "no end of line")
    write(made, "run.sh", "#!/bin/sh\n").chmod(0o755)
    git(made, "add", "line.txt")
    git(made, "commit", "-m", "Half")
    Path(made.place, "README.md").unlink()
    Path(made.place, "link").symlink_to("/etc/hostname")
    found = await workspaces.difference(made, job)
    await patches(workspaces, gateway).keep(made, found, job)
    [patch] = gateway.kept
    await workspaces.commit(made, "All", job)
    await workspaces.push(made, (await workspaces.difference(made, job)).commit, BRANCH, job)
    assert applied(small_forge, repository, made.base_commit, patch, tmp_path) == found.tree
    assert not marker.exists() and "is kept with the job" in log.text
    await patches(workspaces, gateway).keep(made, await workspaces.difference(made, job), job)
    assert len(gateway.kept) == 1  # the same changes, committed meanwhile
    write(made, "more", "x")
    await patches(workspaces, gateway).keep(made, await workspaces.difference(made, job), job)
    assert len(gateway.kept) == 2 and b"+++ b/more" in gateway.kept[1]


async def test_what_is_too_large_is_told_and_is_no_patch(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000)
    gateway = KeepsFiles()
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "small", "x\n")
    write(made, "large", "x\n" * 500_000)
    await patches(workspaces, gateway).keep(made, await workspaces.difference(made, job), job)
    [told] = gateway.kept
    assert b"This is no patch" in told and b"'large' (+500000 -0)" in told and b"diff --git" not in told
    assert "more than 1,000 bytes" in log.text
    refused = subprocess.run(["git", "apply", "-"], input=told, capture_output=True, cwd=made.place)
    assert refused.returncode != 0


async def test_a_gateway_that_is_away_or_refuses_fails_nothing(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    gateway = KeepsFiles(fails=[AWAY, AWAY])
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    found = await workspaces.difference(made, job)
    await patches(workspaces, gateway).keep(made, found, job)
    assert len(gateway.kept) == 1 and gateway.asked == 3
    write(made, "y", "y")
    found = await workspaces.difference(made, job)
    gateway.fails = [AWAY] * 3
    await patches(workspaces, gateway).keep(made, found, job)
    assert "is not kept with the job: Nobody answers." in log.text and gateway.asked == 6
    gateway.fails = [Refused("There is no room.", "Delete jobs.")]
    await patches(workspaces, gateway).keep(made, found, job)
    assert "There is no room." in log.text and gateway.asked == 7
    assert not list(workspaces.patch_files(made).place.parent.glob("*.patch"))
    await patches(workspaces, gateway).keep(made, found, job)
    assert len(gateway.kept) == 2


async def test_cleaning_up_sends_what_was_not_sent_and_nothing_that_checks_have_left(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    gateway = KeepsFiles()
    cleaning = CleaningHandler(workspaces, credentials, patches(workspaces, gateway))
    job, _ = attempt(credentials)
    clean = pb.Command(id="c", job_id=job.job_id, epoch=1, cleanup=pb.Cleanup(job_id=job.job_id, epoch=1))
    for sent in (True, False):
        made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
        write(made, "x", "x")
        if sent:
            await patches(workspaces, gateway).keep(made, await workspaces.difference(made, job), job)
        else:  # a program that was begun again, and cancelled
            workspaces.patch_files(made).note_sent("")
        write(made, "left-by-a-check", "x")
        done, _ = await carried_out(cleaning, clean)
        assert isinstance(done, pb.Result) and done.HasField("cleaned") and not Path(made.place).exists()
        assert list(workspaces.patch_files(made).place.parent.iterdir()) == []
    assert [b"left-by-a-check" in each for each in gateway.kept] == [False, True]
    planned = await workspaces.prepare(job, small_forge.clone_url(repository), "main", f"pavo/plan-{job.job_id}")
    write(planned, "of-a-plan", "x")
    await carried_out(cleaning, clean)
    await carried_out(cleaning, clean)  # there is none
    assert len(gateway.kept) == 2


async def test_late_work_has_its_patch_also_where_it_cannot_be_pushed(
    workspaces: Workspaces, small_forge: Forge, repository: str
) -> None:
    gateway, credentials = KeepsFiles(), GivesCredentials()
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    credentials.refused = "it is not yours"
    handler = LateWorkHandler(workspaces, credentials, patches(workspaces, gateway))
    for _ in range(2):
        done, _ = await carried_out(handler, to_keep(small_forge, repository, job.job_id))
        assert not isinstance(done, pb.Result)
    assert len(gateway.kept) == 1 and b"+++ b/x" in gateway.kept[0]


async def test_a_full_disk_is_told(
    make: Callable[..., Workspaces],
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    small_disk: Path,  # noqa: F811
) -> None:
    workspaces, gateway = make(folder=small_disk), KeepsFiles()
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    Path(made.place, "noise").write_bytes(os.urandom(3_000_000))
    found = await workspaces.difference(made, job)
    filler = small_disk / "filler"
    for size in (1_000_000, 4_096, 1):
        try:
            with filler.open("ab") as file:
                while True:
                    file.write(os.urandom(size))
                    file.flush()
        except OSError:
            pass
    await patches(workspaces, gateway).keep(made, found, job)
    assert "is not kept with the job: The agent has no space left" in log.text and not gateway.kept
    filler.unlink()
    await patches(workspaces, gateway).keep(made, found, job)
    assert len(gateway.kept) == 1


async def test_a_gateway_that_hangs_takes_no_commands_time(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    """The program has ended a moment before its time was over: the job is not to fail for its patch."""

    class Hangs(KeepsFiles):
        async def put_file(self, attempt: tuple[str, int], file: SentFile) -> pb.ArtifactKept:
            await asyncio.Event().wait()
            raise AssertionError

    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    found = await workspaces.difference(made, job)
    async with asyncio.timeout(60):
        await patches(workspaces, Hangs()).keep(made, found, replace(job, seconds_left=lambda: 6.0))
    assert "is not kept with the job: that took longer than 1 s" in log.text
