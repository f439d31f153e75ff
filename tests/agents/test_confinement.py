"""What isolated agents have and reach: by Landlock where the kernel has it, by folder and environment everywhere."""

import asyncio
import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from elsewhere import without_landlock
from leaving_early import WHEN, LeavingEarly
from prying_agents import Prying
from sample_agents import Sample

from conftest import LIMITS, PLAN, context, target_of
from pavo.agents.confinement.confining import Confining
from pavo.agents.confinement.landlock import version
from pavo.agents.confinement.levels import Wanted
from pavo.agents.confinement.task_folders import TaskFolders, default_root
from pavo.agents.hosts.preloading import POSSIBLE, Preloading
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.hosts.starting import Spawning
from pavo.agents.hosts.wire import EXIT_UNCONFINED
from pavo.config import PAVO_SECRETS, Settings
from pavo.errors import AgentDied, AgentRefused, Unavailable

KINDS = ["spawned", *(["forked"] if POSSIBLE else [])]
landlocked = pytest.mark.skipif(not version(), reason="This kernel has no Landlock.")


class Deployment:
    """A data directory with what must stay Pavo's, and folders of tasks in it."""

    def __init__(self, root: Path, folders: TaskFolders | None = None) -> None:
        self.data = root / "data"
        self.data.mkdir()
        self.secrets = self.data / "secrets.json"
        self.secrets.write_text("the deployment's")
        self.folders = folders or TaskFolders(default_root(self.data))
        self.other = self.folders.make(uuid.uuid4()) / "file"
        self.other.write_text("another task's")
        self.outside = root / "outside"
        self.outside.write_text("the operator's")

    def rules(self, mode: Any = "available", **given: Any) -> Wanted:
        return Wanted(mode, private=(str(self.data),), **given)

    @property
    def all(self) -> list[str]:
        return [str(path) for path in (self.secrets, self.other, self.outside)]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@contextlib.asynccontextmanager
async def hosted(
    kind: str,
    deployment: Deployment,
    rules: Wanted,
    ctx: Any,
    named: tuple[str, ...] = (),
    agent: type[Sample] = Prying,
) -> AsyncGenerator[ProcessHost]:
    confining = Confining(deployment.folders, rules)
    preloading = Preloading(memory_mb=LIMITS.memory_mb, named=named) if kind == "forked" else None
    starter = preloading or Spawning(named)
    host = ProcessHost(target_of(agent), ctx, LIMITS, starter=starter, confining=confining)
    try:
        yield host
    finally:
        await host.close()
        if preloading is not None:
            await preloading.close()
        await confining.close()


async def found(
    kind: str,
    deployment: Deployment,
    rules: Wanted,
    *,
    task_id: uuid.UUID | None = None,
    named: tuple[str, ...] = (),
    **options: Any,
) -> dict[str, Any]:
    ctx = replace(context(**options), **({"task_id": task_id} if task_id else {}))
    async with hosted(kind, deployment, rules, ctx, named) as host:
        await host.open(PLAN, None)
        step = await host.next_step()
        assert step is not None
        return cast("dict[str, Any]", step.checkpoint)


@landlocked
@pytest.mark.parametrize("kind", KINDS)
async def test_an_agent_reads_and_writes_nothing_of_others(kind: str, deployment: Deployment) -> None:
    tried = [*deployment.all, "/etc/shadow"]
    told = await found(kind, deployment, deployment.rules(), read=tried, write=deployment.all)
    assert told["read"] == dict.fromkeys(tried, "PermissionError")
    assert told["by a child"] == dict.fromkeys(tried, "")
    assert told["written"] == dict.fromkeys(deployment.all, "PermissionError")
    assert told["parent"] == "PermissionError"
    if version() >= 6:
        assert told["signal"] == "PermissionError"
    assert deployment.other.read_text() == "another task's"


@landlocked
@pytest.mark.parametrize("kind", KINDS)
async def test_what_agents_need_goes_on_to_work(kind: str, deployment: Deployment) -> None:
    told = await found(kind, deployment, deployment.rules())
    wanted = {"null": "1", "random": "8", "lazy": "wave", "certificates": "True", "resolver": "True"}
    assert told["works"] == {**wanted, "status": "True", "pipe": "2", "stdout": "None"}


@pytest.mark.parametrize("kind", KINDS)
async def test_without_confinement_it_reads_everything(
    kind: str, deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    """The fault that confinement mends, and what holds all the same: a folder of its own and a chosen environment."""
    told = await found(kind, deployment, deployment.rules("off"), read=deployment.all, write=[str(deployment.outside)])
    assert list(told["read"].values()) == ["the deployment's", "another task's", "the operator's"]
    assert told["written"] == {str(deployment.outside): "5"}
    assert "not confined (PAVO_AGENT_CONFINEMENT=off)" in caplog.text
    assert told["cwd"].startswith(str(deployment.folders.root))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_folder_of_the_tasks_own_that_later_attempts_find(kind: str, deployment: Deployment) -> None:
    task_id = uuid.uuid4()
    first = await found(kind, deployment, deployment.rules(), task_id=task_id)
    again = await found(kind, deployment, deployment.rules(), task_id=task_id)
    folder = deployment.folders.root / str(task_id)
    assert first["cwd"] == first["home"] == str(folder) and first["mode"] == "0o700"
    assert first["temporary"].startswith(f"{folder}/tmp/")
    assert (first["before"], again["before"]) == ("", "x")
    assert stat.S_IMODE(deployment.folders.root.stat().st_mode) == 0o700


@landlocked
@pytest.mark.parametrize("kind", KINDS)
async def test_what_the_operator_grants(kind: str, deployment: Deployment, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    rules = deployment.rules(readable=(str(deployment.outside),), writable=(str(shared),))
    new = str(shared / "new")
    told = await found(kind, deployment, rules, read=deployment.all, write=[str(deployment.outside), new])
    assert list(told["read"].values()) == ["PermissionError", "PermissionError", "the operator's"]
    assert told["written"] == {str(deployment.outside): "PermissionError", new: "5"}


@landlocked
@pytest.mark.parametrize("kind", KINDS)
async def test_code_that_lies_around_the_data_directory_opens_it_to_nobody(
    kind: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sys.path` holds the folder that a worker was started in, which may be or hold the data directory."""
    around, nothing = deployment.data.parent, deployment.data
    (around / "lying_around.py").write_text("")
    (around / ".env").write_text("a password")
    shutil.copy(Path(__file__).with_name("prying_agents.py"), around)
    monkeypatch.syspath_prepend(str(nothing))
    monkeypatch.syspath_prepend(str(around))
    code, hidden = str(around / "lying_around.py"), str(around / ".env")
    told = await found(kind, deployment, deployment.rules(), read=[code, hidden, *deployment.all])
    assert told["read"] == {code: "", **dict.fromkeys([hidden, *deployment.all], "PermissionError")}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_environment_is_chosen(kind: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {name: f"secret-{name}" for name in (*PAVO_SECRETS, "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD")}
    usual = {"LANG": "C.UTF-8", "LC_TIME": "C", "HTTPS_PROXY": "http://proxy:1", "SSL_CERT_DIR": "/etc/ssl/certs"}
    for name, value in {**secrets, **usual, "OPENAI_API_KEY": "named"}.items():
        monkeypatch.setenv(name, value)
    told = await found(kind, deployment, deployment.rules(), named=("OPENAI_API_KEY",))
    assert usual.items() | {"OPENAI_API_KEY": "named"}.items() <= told["environment"].items()
    assert "OPENAI_API_KEY=named" in told["at start"]
    for shown in (told["environment"].values(), told["at start"]):
        assert not [text for text in shown if "secret-" in text]
    assert not set(secrets) & set(told["environment"])


def test_no_secret_of_pavo_can_be_named() -> None:
    """Whatever setting may carry a login or a key, by its name; a link that is shown to everybody is none."""
    telling = ("DATABASE_URL", "REDIS_URL", "KEY", "KEY_PATH", "TOKEN", "PASSWORD")
    sections = [section.default_factory for section in Settings.model_fields.values()]
    names = {str(field.validation_alias) for section in sections for field in cast(Any, section).model_fields.values()}
    secrets = {name for name in names if name.endswith(telling)}
    assert len(secrets) > 5
    assert secrets <= PAVO_SECRETS, secrets - PAVO_SECRETS


# Where there is no Landlock


WORKER = """
import asyncio, json, logging, sys
from pathlib import Path
logging.basicConfig()
sys.path.insert(0, sys.argv[1])
from test_confinement import Deployment, found
from pavo.errors import PavoError

async def main():
    deployment = Deployment(Path(sys.argv[2]))
    try:
        told = await found(sys.argv[4], deployment, deployment.rules(sys.argv[3]), read=deployment.all)
    except PavoError as error:
        print(json.dumps([type(error).__name__, error.detail, error.remedy]))
    else:
        print(json.dumps(told["read"]))

asyncio.run(main())
"""


async def _told_without_landlock(root: Path, mode: str, kind: str) -> tuple[Any, str]:
    arguments = [sys.executable, "-c", WORKER, str(Path(__file__).parent), str(root), mode, kind]
    done = await asyncio.to_thread(
        lambda: subprocess.run(arguments, capture_output=True, text=True, preexec_fn=without_landlock, check=False)
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere there is none anyway.")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_system_without_landlock_is_told_and_runs_agents(tmp_path: Path, kind: str) -> None:
    told, log = await _told_without_landlock(tmp_path, "available", kind)
    assert "the deployment's" in told.values()
    assert "not confined (this system has no Landlock" in log


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere there is none anyway.")
async def test_where_confinement_is_required_nothing_runs_without(tmp_path: Path) -> None:
    (kind, detail, remedy), _ = await _told_without_landlock(tmp_path, "required", "spawned")
    assert kind == AgentRefused.__name__
    assert "this system has no Landlock" in detail and "PAVO_AGENT_CONFINEMENT=required" in detail
    assert "PAVO_AGENT_CONFINEMENT=available" in remedy


@landlocked
async def test_a_process_that_cannot_be_confined_runs_no_code_of_its_agent(deployment: Deployment) -> None:
    ctx = context()
    async with hosted("spawned", deployment, deployment.rules(), ctx) as host:
        folders = deployment.folders
        make: Callable[[uuid.UUID, range | None], Path] = folders.make
        folders.make = lambda task_id, uids=None: make(task_id, uids) / "gone"  # removed between the two sides
        with pytest.raises(Unavailable, match="could not be confined"):
            await host.plan()


@pytest.mark.parametrize("kind", KINDS)
async def test_who_ends_as_if_not_confined_while_it_is_imported_is_to_blame(
    kind: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WHEN, "at import")
    async with hosted(kind, deployment, deployment.rules(), context(), (WHEN,), LeavingEarly) as host:
        with pytest.raises(AgentDied, match=f"exit code {EXIT_UNCONFINED}"):
            await host.plan()


@pytest.mark.skipif(not POSSIBLE, reason="Nothing is forked here.")
async def test_what_an_import_left_to_run_after_a_fork_excuses_an_agent_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose exit it was nobody knows; the next process begins with nothing of the agent's in it."""
    monkeypatch.setenv(WHEN, "after a fork")
    confining = Confining(deployment.folders, deployment.rules())
    preloading = Preloading(memory_mb=LIMITS.memory_mb, named=(WHEN,))

    async def planned() -> Any:
        target = target_of(LeavingEarly)
        host = ProcessHost(target, context(), LIMITS, starter=preloading, confining=confining)
        try:
            return await host.plan()
        finally:
            await host.close()

    try:
        with pytest.raises(Unavailable, match="could not be confined"):
            await planned()
        assert (await planned()).steps
    finally:
        await preloading.close()
        await confining.close()


# Folders


def test_a_root_of_somebody_elses_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(PermissionError, match="not a folder of this user's"):
        TaskFolders(tmp_path / "link").make(uuid.uuid4())


def test_what_an_agent_left_is_removed_whatever_it_did_to_it(tmp_path: Path) -> None:
    folders, task_id = TaskFolders(tmp_path / "agents"), uuid.uuid4()
    folder = folders.make(task_id)
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("")
    (folder / "out").symlink_to(tmp_path)
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0)
    (tmp_path / "bystander").write_text("stays")
    assert folders.tasks() == [task_id]
    assert folders.remove(task_id) and folders.remove(task_id)
    assert folders.tasks() == [] and (tmp_path / "bystander").exists()


def test_an_empty_folder_is_left_to_nobody(tmp_path: Path) -> None:
    folders, empty, used = TaskFolders(tmp_path / "agents"), uuid.uuid4(), uuid.uuid4()
    folders.make(empty)
    (folders.make(used) / "file").write_text("")
    folders.leave(empty)
    folders.leave(used)
    assert folders.tasks() == [used]


def test_a_folder_that_another_attempt_uses_stays(tmp_path: Path) -> None:
    """Two workers of one machine: the one closes a parked agent while the other goes on with its task."""
    one, other = TaskFolders(tmp_path / "agents"), TaskFolders(tmp_path / "agents")
    task_id = uuid.uuid4()
    folder = one.hold(task_id)
    assert other.hold(task_id) == folder and other.hold(task_id) == folder
    one.leave(task_id)
    other.leave(task_id)
    assert folder.is_dir()
    other.leave(task_id)
    assert not folder.exists()


def test_folders_without_an_end_are_removed_too(tmp_path: Path) -> None:
    folders, task_id = TaskFolders(tmp_path / "agents"), uuid.uuid4()
    here = os.open(folders.make(task_id), os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper", dir_fd=here)
        below = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    assert folders.remove(task_id)
