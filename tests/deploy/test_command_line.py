"""`pavo up` and its companions, as people type them, with real parts."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pavo.deploy.model.state import find_api_url
from pavo.kit.processes import ProcessIdentity
from tests.parts import free_port

PAVO = [sys.executable, "-m", "pavo.cli.main"]
START_SECONDS = 150


def pavo(*words: str, data_dir: Path, expect: int = 0) -> str:
    """Run a command; its output."""
    environment = {**os.environ, "PAVO_DATA_DIR": str(data_dir), "NO_COLOR": "1", "DATABASE_URL": "postgresql://wrong"}
    done = subprocess.run(
        [*PAVO, *words], env=environment, capture_output=True, text=True, timeout=START_SECONDS, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def status(data_dir: Path, expect: int = 0) -> dict[str, Any]:
    return json.loads(pavo("status", "-o", "json", data_dir=data_dir, expect=expect))


def killed(data_dir: Path, name: str) -> tuple[dict[str, Any], bool]:
    """A part while it may be on its way back, and whether all is well, which the exit code tells: an API that is ready
    may still reconcile."""
    environment = {**os.environ, "PAVO_DATA_DIR": str(data_dir)}
    done = subprocess.run([*PAVO, "status", "-o", "json"], env=environment, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    well = all(part["state"] == "ready" for part in found["parts"]) and not found["wrong"].keys() - {"redis"}
    assert done.returncode == (0 if well else 5), done.stdout + done.stderr
    return next(part for part in found["parts"] if part["name"] == name), well


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A detached stack whose wanted port was taken."""
    data_dir = tmp_path_factory.mktemp("up") / "data"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        words = ("--port", str(port), "--no-browser", "--allow-file-origin")
        said = pavo("up", "--detach=true", *words, data_dir=data_dir)
    for told in ("API", "API docs", "Temporal UI", "Next", "pavo down", "✓ postgres", "✓ worker-1"):
        assert told in said
    assert f"Port {port} is taken" in said and "Pages opened from disk" in said
    yield data_dir
    if find(data_dir):
        pavo("down", data_dir=data_dir)
    assert json.loads(pavo("reset", "--yes", "-o", "json", data_dir=data_dir)) == {"removed": str(data_dir)}
    assert not data_dir.exists()


def find(data_dir: Path) -> bool:
    return json.loads((data_dir / "state.json").read_text())["ready"]


def test_status_has_the_documented_shape(stack: Path) -> None:
    found = status(stack)
    assert set(found) == {"parts", "urls", "data_dir", "wrong"}
    assert set(found["urls"]) == {"api", "ui", "docs", "temporal_ui", "gateway", "gateway_ca"}
    assert [part["name"] for part in found["parts"]] == ["postgres", "redis", "temporal", "api", "worker-1", "gateway"]
    for part in found["parts"]:
        assert set(part) == {"name", "state", "pid", "address", "restarts", "log", "last_end", "version"}
        assert part["state"] == "ready" and part["restarts"] == 0
        assert Path(f"/proc/{part['pid']}").exists() or sys.platform != "linux"
        assert Path(part["log"]).exists()
    assert found["data_dir"] == str(stack)
    assert find_api_url(stack) == found["urls"]["api"]
    assert httpx2.get(found["urls"]["api"] + "/healthz").json() == {"ok": True}
    assert httpx2.get(found["urls"]["docs"]).status_code == 200
    assert httpx2.get(found["urls"]["temporal_ui"], follow_redirects=True).status_code == 200


def test_a_second_up_is_refused_with_the_remedy(stack: Path) -> None:
    said = pavo("up", data_dir=stack, expect=4)
    assert "already" in said and "pavo down" in said and "Traceback" not in said
    detached = pavo("up", "--detach", data_dir=stack, expect=4)
    assert "already" in detached and "pavo down" in detached


@pytest.mark.fault
@pytest.mark.parametrize("name", ["worker-1", "api"])
def test_a_killed_part_is_back(stack: Path, name: str) -> None:
    before = next(part for part in status(stack)["parts"] if part["name"] == name)
    os.kill(before["pid"], signal.SIGKILL)
    deadline = time.monotonic() + START_SECONDS
    while True:
        after, well = killed(stack, name)
        if well and after["pid"] != before["pid"]:
            break
        assert time.monotonic() < deadline, after
    assert after["restarts"] == before["restarts"] + 1
    assert after["address"] == before["address"]
    assert f"[supervisor] {name} was killed by signal 9" in pavo("logs", name, data_dir=stack)
    if name == "worker-1":
        while f"of worker {before['pid']}, which is dead" not in pavo("logs", name, data_dir=stack):
            assert time.monotonic() < deadline


def test_logs_show_one_part_or_all(stack: Path) -> None:
    assert "Worker ready" in pavo("logs", "worker-1", data_dir=stack)
    every = pavo("logs", data_dir=stack)
    assert "worker-1" in every and "supervisor" in every
    assert "temporal" in pavo("logs", "nonsense", data_dir=stack, expect=3)


def test_migrate_finds_nothing_to_do(stack: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}

    def migrate(*words: str) -> str:
        command = [*PAVO, "migrate", "--data-dir", str(stack), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert "up to date" in migrate()
    assert json.loads(migrate("-o", "json")) == {"applied": []}


def test_a_restart_names_the_parts(stack: Path) -> None:
    assert json.loads(pavo("deploy", "restart", "worker", "-o", "json", data_dir=stack)) == {"restarted": ["worker-1"]}


def test_down_leaves_no_process_and_reset_wants_a_yes(stack: Path) -> None:
    running = [ProcessIdentity.of(part["pid"]) for part in status(stack)["parts"]]
    assert all(running)
    pavo("reset", "--yes", data_dir=stack, expect=4)
    stopped = json.loads(pavo("down", "-o", "json", data_dir=stack))
    assert stopped["stopped"] and stopped["data_dir"] == str(stack)
    assert not any(identity is not None and identity.alive() for identity in running)
    after = status(stack, expect=1)
    assert {part["state"] for part in after["parts"]} == {"stopped"}
    assert {part["pid"] for part in after["parts"]} == {None}
    assert not json.loads(pavo("down", "-o", "json", data_dir=stack))["stopped"]
    assert "--yes" in pavo("reset", data_dir=stack, expect=2)


@contextmanager
def in_any_case_ended(
    data_dir: Path, words: Sequence[str], environment: Mapping[str, str]
) -> Generator[subprocess.Popen[str]]:
    """A stack in the foreground, of which nothing is left however the test ends."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as up:
        try:
            yield up
        finally:
            up.kill()  # its parts end with it
            up.wait()
            pavo("reset", "--yes", data_dir=data_dir)


def test_json_in_the_foreground_is_one_document_when_everything_is_ready(tmp_path: Path) -> None:
    words = [*PAVO, "up", "--ephemeral", "--port", "0", "-o", "json", "--data-dir", str(tmp_path / "data")]
    environment = {**os.environ, "NO_COLOR": "1"}
    with in_any_case_ended(tmp_path / "data", words, environment) as up:
        assert up.stdout is not None and up.stderr is not None
        lines: list[str] = []
        while not lines or lines[-1] != "}\n":
            lines.append(up.stdout.readline())
            assert lines[-1], up.stderr.read()
        while not killed(tmp_path / "data", "api")[1]:  # it may still reconcile
            assert up.poll() is None
        assert {**json.loads("".join(lines)), "wrong": {}} == status(tmp_path / "data")
        up.send_signal(signal.SIGTERM)
        rest, said = up.communicate(timeout=60)
    assert (up.returncode, rest) == (0, "") and "✓ postgres" in said and "Stopping" in said


def test_doctor_reports_each_check(stack: Path) -> None:
    found = json.loads(pavo("doctor", "-o", "json", data_dir=stack))
    assert {"Python", "PostgreSQL", "Valkey", "Temporal"} <= {check["name"] for check in found["checks"]}


def test_wrong_words_exit_2_and_suggest(stack: Path) -> None:
    assert "status" in pavo("statsu", data_dir=stack, expect=2)
    assert "at least one" in pavo("up", "--workers", "0", data_dir=stack, expect=2)
    assert "pavo up" in pavo("status", data_dir=stack / "nowhere", expect=3)
