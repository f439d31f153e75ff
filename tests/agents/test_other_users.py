"""Agents of a worker that is root: each task's a user of its own, with Landlock and without; a test for each level."""

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from elsewhere import mounts_possible, open_to_all, without_landlock

from conftest import alive, until
from pavo.agents.confinement.landlock import version
from pavo.agents.confinement.task_folders import TaskFolders, default_root
from pavo.agents.confinement.users import UIDS, users_problem
from pavo.agents.hosts.preloading import POSSIBLE

pytestmark = pytest.mark.skipif(not mounts_possible(), reason="This is not root, or may not mount.")
KINDS = ["spawned", *(["forked"] if POSSIBLE else [])]
WORKER = """
import asyncio, json, logging, sys, uuid
from pathlib import Path
logging.basicConfig(level=logging.INFO)
sys.path.insert(0, sys.argv[1])
from test_confinement import Deployment, found
from pavo.agents.confinement.task_folders import TaskFolders
from pavo.errors import PavoError

async def main(root, mode, kind):
    deployment = Deployment(root, TaskFolders(root / "agents"))
    deployment.data.chmod(0o700)
    task = uuid.uuid4()
    first = await found(kind, deployment, deployment.rules(mode), task_id=task)
    again = await found(kind, deployment, deployment.rules(mode), task_id=task)
    tried = [*deployment.all, f"{first['cwd']}/kept"]
    other = await found(kind, deployment, deployment.rules(mode), read=tried, write=tried)
    owner = Path(first["cwd"]).stat().st_uid
    removed = deployment.folders.remove(task)
    print(json.dumps({"first": first, "again": again, "other": other, "owner": owner, "removed": removed}))

try:
    asyncio.run(main(Path(sys.argv[2]), *sys.argv[3:]))
except PavoError as error:
    print(json.dumps({"refused": error.detail}))
"""

BUSY = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import PLAN, context, target_of
from sample_agents import Faulty
from pavo.agents.confinement.confining import Confining
from pavo.agents.confinement.levels import Wanted
from pavo.agents.confinement.task_folders import TaskFolders
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.preloading import Preloading
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.starting import Spawning

async def main(root, kind):
    limits = HostLimits(memory_mb=256, silence_seconds=60)
    starter = Preloading(memory_mb=256) if kind == "forked" else Spawning()
    confining = Confining(TaskFolders(root / "agents"), Wanted("user"))
    host = ProcessHost(target_of(Faulty), context(what="loop"), limits, starter=starter, confining=confining)
    await host.open(PLAN, None)
    print((await host.next_step()).checkpoint["pid"], flush=True)
    await host.next_step()

asyncio.run(main(Path(sys.argv[2]), sys.argv[3]))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that all users reach, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="pavo-users-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def told(
    place: Path, mode: str, kind: str, *, landlock: bool = True, reached: bool = True, by: Sequence[str] = ()
) -> tuple[Any, str]:
    """What agents of a worker with this PAVO_AGENT_CONFINEMENT tell, and its log; it is started in the place.

    Args:
        by: what starts it.
    """
    command = [*by, sys.executable, "-c", WORKER, str(Path(__file__).parent), str(place), mode, kind]
    command = open_to_all(place, command) if reached else command
    before = None if landlock else without_landlock
    done = await asyncio.to_thread(
        lambda: subprocess.run(command, cwd=place, capture_output=True, text=True, preexec_fn=before, check=False)
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def is_a_user_of_its_own(found: dict[str, Any]) -> bool:
    """Whether it is one in every respect."""
    (uid,) = set(found["ids"]) if len(set(found["ids"])) == 1 else (0,)
    privileges = found["privileges"]
    assert privileges.pop("NoNewPrivs") == "1"
    privileges.pop("CapBnd")  # what a program might give, which none may
    return (
        uid in UIDS
        and found["root again"] == "PermissionError"
        and {int(each, 16) for each in privileges.values()} == {0}
    )


@pytest.mark.skipif(not version(), reason="This kernel has no Landlock.")
@pytest.mark.parametrize("kind", KINDS)
async def test_both(place: Path, kind: str) -> None:
    answer, log = await told(place, "both", kind)
    first, again, other = (answer[name] for name in ("first", "again", "other"))
    assert all(map(is_a_user_of_its_own, (first, again, other)))
    assert first["ids"] == again["ids"] != other["ids"] and answer["owner"] == first["ids"][0]
    assert (first["before"], again["before"]) == ("", "x")
    assert set(other["read"].values()) == set(other["written"].values()) == {"PermissionError"}
    assert other["parent"] == other["signal"] == "PermissionError"
    assert (first["mode"], first["environment"]["USER"]) == ("0o700", "pavo-agent")
    wanted = {"null": "1", "random": "8", "lazy": "wave", "certificates": "True", "resolver": "True"}
    assert first["works"] == {**wanted, "status": "True", "pipe": "2", "stdout": "None"}
    assert answer["removed"]
    assert "confined by Landlock" in log and "a user of each task's own (1900000000 to 1999999999)" in log


@pytest.mark.parametrize("kind", KINDS)
async def test_users_where_there_is_no_landlock(place: Path, kind: str) -> None:
    answer, log = await told(place, "required", kind, landlock=False)
    other = answer["other"]
    assert is_a_user_of_its_own(other)
    read = dict(zip(("secrets", "other", "outside", "kept"), other["read"].values(), strict=True))
    assert read == dict.fromkeys(("secrets", "other", "kept"), "PermissionError") | {"outside": "the operator's"}
    assert set(other["written"].values()) == {"PermissionError"}
    assert other["parent"] == other["signal"] == "PermissionError"
    assert "confined by a user of each task's own" in log and "(this system has no Landlock)" in log


@pytest.mark.skipif(not version(), reason="This kernel has no Landlock.")
@pytest.mark.parametrize("mode", ["landlock", "available"])
async def test_landlock_alone(place: Path, mode: str) -> None:
    """Where that is wanted, and where other users do not reach tasks' folders."""
    if mode == "available":
        place.chmod(0o700)
    answer, log = await told(place, mode, KINDS[-1], reached=mode == "landlock")
    assert set(answer["other"]["ids"]) == {0}
    assert set(answer["other"]["read"].values()) == {"PermissionError"}
    assert ("closed to other users" in log) == (mode == "available")


@pytest.mark.skipif(not version(), reason="This kernel has no Landlock.")
async def test_a_worker_that_is_no_root_beside_a_folder_that_it_may_not_look_into(place: Path) -> None:
    """Where it was started, as PostgreSQL's data may lie: it confined nothing."""
    (place / "closed").mkdir(mode=0o700)
    os.chown(place, 10001, 10001)
    user = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups"]
    command = ["env", f"--chdir={place}", *user]
    answer, log = await told(place, "required", KINDS[-1], by=command)
    assert set(answer["other"]["ids"]) == {10001}
    assert set(answer["other"]["read"].values()) == {"PermissionError"}
    assert "confined by Landlock" in log and "users of their own" not in log


async def test_none(place: Path) -> None:
    place.chmod(0o700)
    answer, log = await told(place, "available", KINDS[-1], landlock=False, reached=False)
    assert "PermissionError" not in answer["other"]["read"].values()
    assert "not confined (this system has no Landlock; no users of their own: " in log
    for mode in ("required", "user", "both"):
        folder = place / mode
        folder.mkdir()
        refused, _ = await told(folder, mode, KINDS[-1], landlock=False, reached=False)
        assert f"PAVO_AGENT_CONFINEMENT={mode}" in refused["refused"]


@pytest.mark.parametrize("kind", KINDS)
async def test_it_ends_with_its_worker(place: Path, kind: str) -> None:
    """A worker that is killed; the agent looks at nothing, and the kernel forgets the wish with the change of user."""
    command = [sys.executable, "-c", BUSY, str(Path(__file__).parent), str(place), kind]
    with subprocess.Popen(open_to_all(place, command), stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            pid = int(await asyncio.to_thread(worker.stdout.readline))
            assert Path(f"/proc/{pid}").stat().st_uid in UIDS
        finally:
            worker.kill()
    await until(lambda: not alive(pid), seconds=10)


# Folders of other users


def test_no_two_tasks_have_one_user(place: Path) -> None:
    folders, uids = TaskFolders(place / "agents"), range(UIDS.start, UIDS.start + 3)
    tasks = [uuid.UUID(int=3 * number) for number in range(4)]  # each would have the first one
    owners = {folders.make(task, uids).stat().st_uid for task in tasks[:3]}
    assert owners == set(uids)
    assert {folders.make(task, uids).stat().st_uid for task in tasks[:3]} == owners
    with pytest.raises(OSError, match="PAVO_AGENT_UIDS"):
        folders.make(tasks[3], uids)
    folders.leave(tasks[0])
    assert folders.remove(tasks[1])
    assert folders.make(tasks[3], uids).stat().st_uid in uids
    assert stat.S_IMODE(folders.root.stat().st_mode) == 0o711


def test_a_folder_of_a_worker_that_confined_otherwise_begins_empty(place: Path) -> None:
    folders, task = TaskFolders(place / "agents"), uuid.uuid4()
    (folders.make(task) / "file").write_text("root's")
    folder = folders.make(task, UIDS)
    assert not list(folder.iterdir()) and folder.stat().st_uid in UIDS
    (folder / "file").write_text("a user's")
    assert (folders.make(task, UIDS) / "file").exists()
    assert not list(folders.make(task).iterdir()) and folder.stat().st_uid == 0


def test_what_is_removed_is_in_the_folder_whatever_its_agent_puts_in_place(place: Path) -> None:
    folders, task = TaskFolders(place / "agents"), uuid.uuid4()
    folder, outside = folders.make(task, UIDS), place / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_text("stays")
    (folder / "closed").mkdir(mode=0)
    (folder / "link").symlink_to(outside)
    assert folders.remove(task)
    assert (outside / "file").exists() and stat.S_IMODE(outside.stat().st_mode) == 0o755


def test_folders_of_other_users_are_not_in_the_data_directory(place: Path) -> None:
    data = place / "data"
    assert default_root(data) == data / "agents"
    assert data not in default_root(data, apart=True).parents


def test_why_there_are_no_other_users(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/env")
    assert users_problem(UIDS, [place / "agents"]) == ""
    place.chmod(0o700)
    assert "closed to other users" in users_problem(UIDS, [place / "agents"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert users_problem(UIDS, []) == "the worker is not root"
