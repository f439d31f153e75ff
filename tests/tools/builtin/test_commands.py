"""Commands run in the task's workspace: confined, bounded in time and output, ended whole, without secrets."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.confining import Confining
from pavo.agents.confinement.landlock import version
from pavo.agents.confinement.levels import Mode, Wanted
from pavo.agents.confinement.task_folders import TaskFolders
from pavo.artifacts.folder_store import FolderStore
from pavo.config import ToolSettings
from pavo.corpus.service import CorpusService
from pavo.errors import ToolFailed
from pavo.kit.sql import Database
from pavo.tasks.work.context.reads import TaskCorpus
from pavo.tools.builtin.commands import MAX_KEPT, CommandRunner, run_confined, told_by
from pavo.tools.builtin.services import TaskServices
from pavo.tools.builtin.web import WebReader
from pavo.tools.contract import ToolContext
from pavo.tools.registry import ToolRegistry
from pavo.tools.running import Outcome, run_tool
from pavo.tools.workspaces.folder_workspace import FolderWorkspace
from tests.driving import until

TASK = uuid.UUID(int=7)


@dataclass
class Own:
    """A task's calls of the tool, as a worker has them."""

    database: Database
    confining: Confining
    stopped: asyncio.Event
    kept: FolderStore
    allowed: Any = "any"

    async def run(self, command: str, **more: Any) -> Outcome:
        tool = ToolRegistry.load().get("run_command")
        runner = CommandRunner(self.confining, self.allowed, TASK, self.stopped)
        corpus = TaskCorpus(CorpusService(self.database), uuid.UUID(int=2))
        services = TaskServices(corpus, WebReader([], []), commands=runner)
        self.folder = await self.confining.hold(TASK)
        try:
            self.workspace = FolderWorkspace(self.folder, self.kept, 10_000_000)
            context = ToolContext("key", TASK, uuid.UUID(int=2), services, self.workspace)
            return await run_tool(tool, tool.understood({"command": command, **more}).arguments, context)
        finally:
            self.confining.folders.leave(TASK)

    async def told(self, command: str, **more: Any) -> dict[str, Any]:
        outcome = await self.run(command, **more)
        assert outcome.state == "done", outcome
        return outcome.value


def confining_of(folder: Path, mode: Mode) -> Confining:
    return Confining(TaskFolders(folder / "agents"), Wanted(mode, private=(str(folder),)))


@pytest_asyncio.fixture(params=["available", "off"])
async def own(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> AsyncIterator[Own]:
    confining = confining_of(tmp_path, request.param)
    yield Own(database, confining, asyncio.Event(), FolderStore(tmp_path / "kept"))
    await confining.close()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


async def gone(*pids: int) -> None:
    async def all_gone() -> bool:
        return all(is_gone(pid) for pid in pids)

    await until(all_gone, what=f"the end of {pids}")


async def test_it_runs_in_the_workspace_and_tells_what_came_of_it(own: Own) -> None:
    told = await own.told("echo hello; echo wrong >&2; echo made > made.txt; pwd; exit 3")
    assert told["exit_code"] == 3 and told["ended"] == "by itself" and told["omitted_bytes"] == 0
    assert told["output"].splitlines() == ["hello", "wrong", str(own.folder)] and 0 < told["seconds"] < 30
    level = await own.confining.level()
    assert told["confined"].startswith("confined by" if level.name != "none" else "not confined")
    assert (await own.told("cat made.txt"))["output"] == "made\n", "the next one finds it"
    assert (await own.told("kill -KILL $$"))["exit_code"] == 128 + signal.SIGKILL
    assert (await own.told("cat; echo done"))["output"] == "done\n", "there is no standard input"
    assert (await own.told("no-such-program"))["exit_code"] == 127


async def test_what_is_named_is_kept(own: Own) -> None:
    told = await own.told(
        "mkdir -p out; printf 'x%.0s' $(seq 2000) > out/a; echo b > b", keep=["out/a", "none", "../b"]
    )
    assert told["kept"]["out/a"] == "2,000 bytes" and "not kept" in told["kept"]["none"]
    assert "not kept" in told["kept"]["../b"]
    assert {path: staged.bytes for path, staged in own.workspace.end().items()} == {"out/a": 2000}
    assert (await own.told("wc -c < out/a"))["output"].strip() == "2000"


async def test_secrets_are_not_in_its_environment(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAVO_LLM_API_KEY", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "GIVEN_TO_AGENTS"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@proxy:1")
    monkeypatch.setenv("NO_PROXY", "localhost")
    told = await own.told("env; cat /proc/$PPID/environ | tr '\\0' '\\n'; cat /proc/self/environ")
    assert "canary" not in told["output"] and "NO_PROXY=localhost" in told["output"]
    assert f"HOME={own.folder}" in told["output"]


async def test_confined_it_reaches_neither_other_tasks_nor_the_deployment(own: Own, tmp_path: Path) -> None:
    if (await own.confining.level()).name == "none":
        pytest.skip("commands are not confined here, and say so")
    (tmp_path / "secret").write_text("canary")
    other = await own.confining.hold(uuid.UUID(int=8))
    (other / "theirs").write_text("canary")
    told = await own.told(f"cat {tmp_path}/secret {other}/theirs; echo x > {tmp_path}/new; ls {other}; exit 0")
    assert "canary" not in told["output"] and "theirs" not in told["output"].replace(f"{other}/theirs", "")
    assert not (tmp_path / "new").exists()
    own.confining.folders.leave(uuid.UUID(int=8))


async def test_what_prints_without_an_end_is_shortened_and_holds_nothing_up(own: Own) -> None:
    told = await own.told("echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert told["output"].startswith("first\n") and told["output"].endswith("last\n")
    assert len(told["output"]) < MAX_KEPT + 100 and told["omitted_bytes"] == 5_000_012 - MAX_KEPT
    binary = await own.told("printf 'a\\000b\\377c'")
    assert binary["output"] == "a\ufffdb\ufffdc"


TREE = "(setsid sh -c 'echo $$; exec sleep 1000' &) ; sh -c 'trap \"\" TERM; echo $$; sleep 1000 & wait' & echo $$ ; "


async def test_after_its_time_all_of_it_is_killed(own: Own) -> None:
    told = await own.told(f"{TREE} sleep 1000", seconds=2)
    assert told["exit_code"] is None and told["ended"] == "killed: it took too long"
    pids = list(map(int, told["output"].split()))
    assert len(pids) == 3
    await gone(*pids)


async def test_what_it_leaves_in_the_background_ends_with_it(own: Own) -> None:
    told = await own.told(f"{TREE} sleep 1; exit 0")
    assert told["exit_code"] == 0 and told["seconds"] < 20
    await gone(*map(int, told["output"].split()))


async def test_a_stop_kills_all_of_it(own: Own) -> None:
    running = asyncio.create_task(own.told(f"{{ {TREE} }} > pids; sleep 1000", seconds=600))

    async def begun() -> list[str]:
        path = own.confining.folders.root / str(TASK) / "pids"
        found = path.read_text().split() if path.exists() else []
        return found if len(found) == 3 else []

    pids = await until(begun, what="its processes")
    own.stopped.set()
    told = await asyncio.wait_for(running, 20)
    assert "stop" in told["ended"] and told["exit_code"] is None
    await gone(*map(int, pids))


LEAVER = "setsid sh -c 'echo $$; exec sleep 1000' & sleep .5; "


@pytest.mark.fault
@pytest.mark.parametrize("number", ["KILL", "STOP"])
async def test_one_that_signals_what_watches_it_leaves_nothing(own: Own, number: str) -> None:
    told = await own.told(f"{LEAVER} kill -{number} $PPID || echo kept; sleep 1000", seconds=3)
    pid, *more = told["output"].split()
    await gone(int(pid))
    assert told["exit_code"] is None
    if version() >= 6:
        assert more[-1] == "kept" and told["ended"] == "killed: it took too long"


async def begins(own: Own, command: str, seconds: float) -> tuple["asyncio.Task[dict[str, Any]]", int, int]:
    """It runs; what watches it, and a process in a session of its own that it leaves."""
    own.confining.begin()
    running = asyncio.create_task(own.told(f"{command} echo $PPID > watcher; sleep 1000", seconds=seconds))

    async def begun() -> list[int]:
        folder = own.confining.folders.root / str(TASK)
        found = [folder / "watcher", folder / "left"]
        texts = [path.read_text() if path.exists() else "" for path in found]
        return [int(text) for text in texts] if all(text.endswith("\n") for text in texts) else []

    watcher, left = await until(begun, what="its processes")
    return running, watcher, left


@pytest.mark.fault
async def test_where_what_watches_it_is_killed_it_leaves_nothing(own: Own) -> None:
    running, watcher, left = await begins(own, "setsid sh -c 'echo $$ > left; exec sleep 1000' &", 600)
    os.kill(watcher, signal.SIGKILL)
    told = await asyncio.wait_for(running, 20)
    assert told["exit_code"] is None and told["ended"].startswith("killed from outside")
    await gone(left)


@pytest.mark.fault
@pytest.mark.parametrize("hindered", ["stopped", "without files"])
async def test_where_what_watches_it_is_hindered_it_leaves_nothing(own: Own, hindered: str) -> None:
    """Nor what has no mark in its environment."""
    cut = "prlimit --pid $PPID --nofile=0:0;" if hindered == "without files" else ""
    if cut and shutil.which("prlimit") is None:
        pytest.skip("no prlimit here")
    running, watcher, left = await begins(own, f"{cut} setsid env -i sh -c 'echo $$ > left; exec sleep 1000' &", 4)
    while not cut and not running.done():  # for as long as it lives
        try:
            os.kill(watcher, signal.SIGSTOP)
        except ProcessLookupError:
            break
        await asyncio.sleep(0.01)
    told = await asyncio.wait_for(running, 20)
    assert told["ended"] == "killed: it took too long"
    await gone(left)


async def test_one_that_writes_where_its_end_is_told_spoils_nothing(own: Own) -> None:
    spoil = "for f in /proc/$PPID/fd/*; do case $(readlink $f) in pipe*) (echo garbage > $f);; esac; done"
    told = await own.told(f"echo made > made; {spoil} 2> /dev/null; echo last", keep=["made"], seconds=10)
    assert told["output"].splitlines()[-1] == "last" and told["kept"] == {"made": "5 bytes"}
    if version() >= 6:
        assert told["exit_code"] == 0 and "garbage" not in told["output"]


@pytest.mark.parametrize("said", [b"", b"garbage", b"{", b"[1]", b"7", b'{"exit": "0"}', b'{"exit": 999}', b"[" * 9999])
def test_what_is_no_word_of_what_watches_is_nothing(said: bytes) -> None:
    answer, status = os.pipe()
    try:
        os.write(status, said)
        assert told_by(answer) == {}, "also while somebody could still write"
        os.write(status, b'{"exit": 3}')
        assert told_by(answer) == {"exit": 3}
    finally:
        os.close(answer)
        os.close(status)


def test_a_shell_that_cannot_be_begun_is_told_as_such(tmp_path: Path) -> None:
    for command, told in (("x" * 200_000, "too long"), ("echo \ud800", "surrogates")):
        with pytest.raises(ToolFailed, match=f"not run. /bin/sh cannot be begun: .*{told}"):
            run_confined(command, 20, Confinement(str(tmp_path), landlock=False), lambda: False)


def test_one_that_ends_while_it_is_told_to_is_still_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill = os.kill

    def slowly(pid: int, sent: int) -> None:
        kill(pid, sent)
        if sent == signal.SIGTERM:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(os, "kill", slowly)
    ran = run_confined("sleep 60", 1, Confinement(str(tmp_path), landlock=False), lambda: False)
    assert ran.ended == "killed: it took too long"


async def test_what_cannot_be_kept_is_refused_before_anything_runs(own: Own) -> None:
    refused = await own.run("echo made > made", keep=["made", "a\0b"])
    assert refused.state == "failed" and "keep: it has a NUL" in (refused.error or "")
    assert not (own.folder / "made").exists()
    told = await own.told("echo made > made", keep=["made", "x" * 300])
    assert told["kept"]["made"] == "5 bytes" and "not kept" in told["kept"]["x" * 300]


PROGRAM = """
import sys
from pavo.agents.confinement.confined import Confinement
from pavo.tools.builtin.commands import run_confined
folder = sys.argv[1]
run_confined(f"{sys.argv[2]} echo $$ >> pids; sleep 1000", 600, Confinement(folder, landlock=False), lambda: False)
"""


async def test_it_ends_with_its_worker(tmp_path: Path) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    apart = "setsid sh -c 'echo $$ >> pids; exec sleep 1000' & env -i setsid sh -c 'echo $$ >> pids; sleep 1000' &"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), apart]) as worker:

        async def begun() -> list[int]:
            path = folder / "pids"
            found = path.read_text().split("\n")[:-1] if path.exists() else []
            return list(map(int, found)) if len(found) == 3 else []

        pids = await until(begun, what="the command and what it has started")
        worker.kill()
    await gone(*pids)


async def test_what_is_refused(database: Database, tmp_path: Path) -> None:
    confining = confining_of(tmp_path, "off")
    own = Own(database, confining, asyncio.Event(), FolderStore(tmp_path / "kept"))
    own.allowed = "off"
    refused = await own.run("true")
    assert refused.state == "failed" and "PAVO_RUN_COMMAND" in (refused.remedy or "")
    own.allowed = "confined"
    refused = await own.run("true")
    assert "cannot confine" in (refused.error or "") and "PAVO_RUN_COMMAND=any" in (refused.remedy or "")
    own.allowed = "any"
    assert "NUL" in ((await own.run("echo a\0b")).error or "")
    await confining.close()
    assert ToolSettings().run_command == "off" and ToolRegistry.load().get("run_command").effect == "unsafe"
