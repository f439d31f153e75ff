"""The repository's commands."""

import asyncio
import time
from pathlib import Path

import pytest

from pavo.kit.processes import parents
from pavo.protocol import fleet_pb2 as pb
from pavo.remote.commands.checks import PREPARE, TAIL_BYTES, VERIFY, Check, environment, prepare, run_checks
from pavo.remote.commands.verify import VerifyingHandler
from pavo.remote.programs.sandbox import Confinement, Sandboxes, found_here
from pavo.remote.work import CommandCancelled, CommandFailed
from pavo.remote.workspaces import Workspaces
from tests.driving import until
from tests.forges.small_forge import Forge
from tests.remote.git.attempts import GivesCredentials, attempt, carried_out


async def test_results_tell_codes_times_and_last_words(
    tmp_path: Path, credentials: GivesCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAVO_AGENT_TOKEN", "secret-of-the-agent")
    job, log = attempt(credentials)
    env = environment(tmp_path / "home")
    checks = [
        Check("good", 'echo well; echo "$HOME" \'$(id)\' `echo two`; test -z "$PAVO_AGENT_TOKEN"', 20),
        Check("bad", "echo out; echo err >&2; exit 7", 20),
        Check("killed", "kill -9 $$", 20),
        Check("none", "/nowhere/at/all", 20),
        Check("long", "yes 'ünï line' | head -c 200000; printf end", 20),
        Check("slow", "echo begun; (setsid sleep 300 &) ; sleep 300", 1),
    ]
    begun = time.monotonic()
    found = {each.name: each for each in await run_checks(checks, VERIFY, place=tmp_path, env=env, errand=job)}
    assert list(found) == [each.name for each in checks] and time.monotonic() - begun < 60
    assert found["good"].passed and found["good"].tail == f"well\n{tmp_path}/home $(id) two\n"
    codes = {name: result.exit_code for name, result in found.items()}
    assert (codes["bad"], codes["killed"], codes["none"], codes["long"]) == (7, 137, 127, 0)
    assert found["bad"].tail.splitlines()[-1] == "It ended with 7." and "err" in found["bad"].tail
    assert len(found["long"].tail.encode()) <= TAIL_BYTES and found["long"].tail.endswith("end\n")
    slow = found["slow"]
    assert slow.timed_out and not slow.passed and slow.exit_code != 0 and 1 <= slow.seconds < 20
    assert "longer than 1 s" in slow.tail and ("verify:slow", "info", "begun") in log.lines
    mine = [pid for pid in parents() if b"sleep\x00300" in _command(pid)]
    assert mine == []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() if Path(f"/proc/{pid}/cwd").readlink() != Path("/") else b""
    except OSError:
        return b""


async def test_preparing_ends_with_the_first_failure(tmp_path: Path, credentials: GivesCredentials) -> None:
    job, log = attempt(credentials)
    checks = [Check("one", "touch one", 20), Check("two", "echo why; exit 3", 20), Check("three", "touch three", 20)]
    with pytest.raises(CommandFailed, match=r"two ended with 3:\nwhy") as failed:
        await prepare(checks, place=tmp_path, env=environment(tmp_path / "home"), errand=job)
    assert failed.value.kind == "PrepareFailed" and failed.value.remedy
    assert (tmp_path / "one").exists() and not (tmp_path / "three").exists()
    assert ("prepare:two", "info", "why") in log.lines and PREPARE


async def test_the_command(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    checks = [pb.Check(name="there", command="cat README.md"), pb.Check(command="exit 4", timeout_seconds=9)]
    request = pb.RunVerification(checks=checks)
    command = pb.Command(id="c", job_id=job.job_id, epoch=1, run_verification=request)
    handler = VerifyingHandler(workspaces, credentials, Sandboxes(0, "", ""))
    lost, _ = await carried_out(handler, command)
    assert isinstance(lost, CommandFailed) and lost.kind == "WorkspaceLost" and lost.remedy
    await workspaces.prepare(job, small_forge.clone_url(repository), "main", "pavo/job")
    done, log = await carried_out(handler, command)
    assert isinstance(done, pb.Result)
    assert [(each.name, each.exit_code) for each in done.verified.checks] == [("there", 0), ("check 2", 4)]
    assert done.verified.checks[0].tail == "Hello\n" and done.verified.checks[1].seconds > 0
    assert "verify:check 2 error It ended with 4." in log


async def test_checks_are_confined_as_the_program_was_that_wrote_what_they_run(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, tmp_path: Path
) -> None:
    here = found_here()
    if not here.landlock or not here.network:
        pytest.skip("neither Landlock nor unshare works here")
    job, _ = attempt(credentials)
    (tmp_path / "secret").write_text("of the agent")
    request = pb.RunVerification(
        checks=[
            pb.Check(name="reads", command=f"cat {tmp_path / 'secret'}"),
            pb.Check(name="writes", command=f"touch made && touch $HOME/made && touch {tmp_path / 'out'}"),
            pb.Check(name="network", command="cat /proc/net/dev | grep -v lo: | grep : "),
        ]
    )
    command = pb.Command(id="c", job_id=job.job_id, epoch=1, run_verification=request)
    found = await workspaces.prepare(job, small_forge.clone_url(repository), "main", "pavo/job")
    workspaces.note_begun(found, "b", Confinement("landlock", network=False).note)
    done, _ = await carried_out(VerifyingHandler(workspaces, credentials, here), command)
    assert isinstance(done, pb.Result)
    assert [each.exit_code != 0 for each in done.verified.checks] == [True, True, True]
    assert "of the agent" not in done.verified.checks[0].tail and not (tmp_path / "out").exists()
    assert (Path(found.place) / "made").exists()


async def test_a_command_that_is_cancelled_ends_what_it_started(tmp_path: Path, credentials: GivesCredentials) -> None:
    job, log = attempt(credentials)
    check = Check("long", "echo $$ > pid; (setsid sleep 301 &); sleep 301", 100)
    env = environment(tmp_path / "home")
    running = asyncio.create_task(run_checks([check], VERIFY, place=tmp_path, env=env, errand=job))

    async def has_begun() -> bool:
        return (tmp_path / "pid").exists()

    await until(has_begun)
    job.ending.cancel()
    with pytest.raises(CommandCancelled):
        await running
    assert [pid for pid in parents() if b"sleep\x00301" in _command(pid)] == [] and log.lines
