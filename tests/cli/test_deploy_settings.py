"""A deployment that was started with settings keeps them, whatever shell starts it next; with its real parts."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests import command
from tests.parts import free_port

from pavo.deploy.model.state import PartState, running

PAVO = [sys.executable, "-m", "pavo.cli.main"]
KEY, OTHER = (base64.b64encode(bytes([n] * 32)).decode() for n in (1, 2))
OPEN = {"PAVO_AUTH": "dev", "PAVO_TEMPORAL_CODEC_KEY": OTHER, "PAVO_HOST": "0.0.0.0", "PAVO_LOG_LEVEL": "DEBUG"}
"""Another shell, which would open the deployment and blind it."""
FOR_AGENTS = ("PAVO_AGENT_ENVIRONMENT=OPENAI_API_KEY", "OPENAI_API_KEY=-")

pytestmark = pytest.mark.fault


def pavo(root: Path, *words: str, shell: dict[str, str] | None = None, expect: int = 0, told: str = "") -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAVO_")}
    environment = {**inherited, "PAVO_DATA_DIR": str(root), "NO_COLOR": "1", **(shell or {})}
    if words[1] in ("start", "check"):  # the first starts what outlives it, the second ends its process
        done = subprocess.run(
            [*PAVO, *words], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    else:
        done = command.pavo(words, environment, typed=told)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Started with a token mode and a key, stopped, and started again from another shell: with what its plan said."""
    root = tmp_path_factory.mktemp("kept") / "data"
    first = {"PAVO_AUTH": "token", "PAVO_TEMPORAL_CODEC_KEY": KEY, "PAVO_WORKER_TASKS": "3"}
    start = ("deploy", "start", "--workers", "1", "--yes")
    pavo(root, *start, "--target", "embedded", "--port", str(free_port()), shell=first)
    pavo(root, "deploy", "stop")
    try:
        yield root, pavo(root, *start, shell=OPEN)
    finally:
        pavo(root, "deploy", "destroy", "--yes")
        assert not root.exists()


def part(root: Path, kind: str) -> PartState:
    state = running(root)
    assert state is not None
    return next(each for each in state.parts if each.name.startswith(kind))


def given(root: Path, kind: str) -> dict[str, str]:
    """The environment that a part was started with."""
    raw = Path(f"/proc/{part(root, kind).pid}/environ").read_text()
    return dict(item.split("=", 1) for item in raw.split("\0") if item)


def settings(root: Path, **shell: str) -> dict[str, Any]:
    return json.loads(pavo(root, "deploy", "settings", "-o", "json", shell=shell))


def status_of_api(root: Path) -> int:
    state = running(root)
    assert state is not None
    return httpx2.get(f"{state.urls.api}/api/tasks", headers={"X-User-Email": "mallory@example.com"}).status_code


def test_a_start_from_another_shell_neither_opens_nor_blinds_it(deployment: tuple[Path, str]) -> None:
    root, plan = deployment
    assert status_of_api(root) == 401
    for kind in ("api", "worker"):
        found = given(root, kind)
        assert (found["PAVO_AUTH"], found["PAVO_TEMPORAL_CODEC_KEY"]) == ("token", KEY)
        assert (found["PAVO_HOST"], found["PAVO_WORKER_TASKS"]) == ("127.0.0.1", "3")
        assert "PAVO_LOG_LEVEL" not in found
    for name in OPEN:
        assert f"! {name}: this shell has" in plan
    assert "deployment keeps token, and that holds" in plan
    assert KEY not in plan and OTHER not in plan


def test_the_checks_judge_the_deployment_and_not_the_shell(deployment: tuple[Path, str]) -> None:
    root, _ = deployment
    for shell in (OPEN, {"PAVO_AUTH": "nonsense"}):
        found = json.loads(pavo(root, "deploy", "check", "--data-dir", str(root), "-o", "json", shell=shell))
        told = next(check["detail"] for check in found["checks"] if check["name"] == "settings")
        assert "auth token" in told and "encrypted" in told


def test_a_change_lasts_and_says_what_it_waits_for(deployment: tuple[Path, str]) -> None:
    root, _ = deployment
    said = pavo(root, "deploy", "set", "PAVO_WORKER_TASKS=5", *FOR_AGENTS, told="sk-secret\n")
    assert "PAVO_WORKER_TASKS=5" in said and "OPENAI_API_KEY=(secret)" in said and "sk-secret" not in said
    assert "pavo deploy restart worker" in said
    assert set(settings(root)["not_in_force"]) == {"api", "worker-1", "gateway"}
    pavo(root, "deploy", "restart", "worker")
    found = given(root, "worker")
    assert (found["PAVO_WORKER_TASKS"], found["OPENAI_API_KEY"]) == ("5", "sk-secret")
    shown = settings(root, PAVO_WORKER_TASKS="9")
    assert shown["not_in_force"] == ["api", "gateway"] and shown["differences"] == ["PAVO_WORKER_TASKS"]
    assert {"name": "OPENAI_API_KEY", "value": None, "secret": True} in shown["settings"]


def test_what_opens_or_blinds_is_asked_for(deployment: tuple[Path, str]) -> None:
    root, _ = deployment
    before = settings(root)
    for words in (("set", "PAVO_AUTH=dev"), ("unset", "PAVO_AUTH"), ("unset", "PAVO_TEMPORAL_CODEC_KEY")):
        said = pavo(root, "deploy", *words, expect=2)
        assert "Nobody can be asked here" in said and "!" in said
    pavo(root, "deploy", "set", "PAVO_AUTH=none", expect=2)
    pavo(root, "deploy", "set", "DATABASE_URL=postgresql://elsewhere", expect=2)
    assert settings(root) == before


def test_a_backup_that_could_not_be_read_is_refused(deployment: tuple[Path, str]) -> None:
    root, _ = deployment
    place = root.parent / "backup"
    pavo(root, "deploy", "backup", "--no-verify", "--output", str(place))
    manifest = json.loads((place / "manifest.json").read_text())
    assert len(manifest["codec_key"]) == 12 and KEY not in json.dumps(manifest)
    assert "runs" in pavo(root, "deploy", "restore", str(place), "--yes", expect=4)
    (place / "manifest.json").write_text(json.dumps({**manifest, "codec_key": "0" * 12}))
    said = pavo(root, "deploy", "restore", str(place), "--yes", expect=4)
    assert "the key 000000000000, which this one lacks" in said and "PAVO_TEMPORAL_CODEC_FORMER_KEYS" in said


def test_a_secret_is_renewed_and_what_was_encrypted_stays_readable(deployment: tuple[Path, str]) -> None:
    root, _ = deployment
    pavo(root, "deploy", "set", "--generate", "PAVO_TEMPORAL_CODEC_KEY")
    pavo(root, "deploy", "restart", "worker")
    found = given(root, "worker")
    assert found["PAVO_TEMPORAL_CODEC_KEY"] != KEY
    assert found["PAVO_TEMPORAL_CODEC_FORMER_KEYS"] == KEY
