"""`pavo up` in the background: what its child is told, and what people are told."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError
from rich.console import Console

from pavo.cli.main import app
from pavo.cli.stack import launch
from pavo.deploy.model import state
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import PartState, StackState, Urls
from pavo.errors import Unavailable
from pavo.kit.processes import ProcessIdentity

REAL_POPEN = subprocess.Popen


class Told(Unavailable):
    """Instead of a child: its words."""


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of the child that would be started."""
    words: list[str] = []

    def detach(arguments: Sequence[str], *_: object, **__: object) -> None:
        words.extend(arguments)
        raise Told("no child here", dependency="stack")

    monkeypatch.setattr(launch, "start_in_background", detach)
    return words


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """The parameters of the command, with its defaults."""
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    bound.apply_defaults()
    return dict(bound.arguments)


@pytest.mark.parametrize("detach", ["--detach", "--detach=true", "--detach=yes"])
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--port", "0", "--workers=3", "--no-spare-worker", "--allow-file-origin"],
        ["--port=8111", "--no-browser", "--spare-worker", "--no-ephemeral"],
    ],
)
def test_the_child_stays_in_the_foreground(child: list[str], tmp_path: Path, detach: str, words: list[str]) -> None:
    data_dir = ["--data-dir", str(tmp_path / "data")]
    with pytest.raises(Told):
        app(["up", detach, *words, *data_dir], exit_on_error=False, result_action="return_value")
    assert child[0] == "up"
    assert parsed(child) == {**parsed(["up", *words, *data_dir]), "detach": False, "open_browser": False}


def test_the_child_of_a_throw_away_stack_gets_its_folder(child: list[str]) -> None:
    with pytest.raises(Told):
        app(["up", "--ephemeral", "--detach=true"], exit_on_error=False, result_action="return_value")
    found = parsed(child)
    assert found["ephemeral"] and not found["detach"] and found["data_dir"].is_absolute()
    assert not found["data_dir"].exists(), "nobody else would remove it"


STATE = StackState(
    ProcessIdentity(1, "now"),
    True,
    False,
    "/data",
    (PartState("api", "ready", 7, "127.0.0.1:8124", 0, "/data/logs/api.log"),),
    Urls("http://127.0.0.1:8124", "http://127.0.0.1:8124/", "http://127.0.0.1:8124/docs", "http://127.0.0.1:9"),
    {},
)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is ready at once."""
    monkeypatch.setattr(launch, "start_in_background", lambda *_: STATE)


@pytest.mark.usefixtures("started")
def test_what_a_detached_start_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["up", "--detach", "--port", "8123", "--allow-file-origin", "--data-dir", str(tmp_path / "data")]
    assert app(words, exit_on_error=False, result_action="return_value") == 0
    said = capsys.readouterr().out
    assert "Port 8123 is taken" in said and "any HTML file you open" in said
    urls = (STATE.urls.api, STATE.urls.ui, STATE.urls.docs, STATE.urls.temporal_ui)
    for told in (*urls, "/data", "pavo run", "pavo down --data-dir /data"):
        assert told in said


@pytest.mark.usefixtures("started")
def test_json_of_a_detached_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["up", "--detach", "--port", "8123", "-o", "json", "--data-dir", str(tmp_path / "data")]
    assert app(words, exit_on_error=False, result_action="return_value") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == json.loads(json.dumps(STATE.public()))
    assert "Port 8123 is taken" in said.err


def test_parts_are_told_as_they_get_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the child's state file says of them, each once."""
    layout, out = Layout(tmp_path / "data"), Console(file=io.StringIO())
    ready = state.read

    def read(data_dir: Path) -> StackState | None:
        found = ready(data_dir)
        return found and replace(found, supervisor=ProcessIdentity(children[0].pid, "now"))

    children: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(launch, "read", read)
    monkeypatch.setattr(launch.subprocess, "Popen", lambda *_, **__: children.append(sleeper()) or children[0])
    layout.root.mkdir()
    state.write(layout, STATE)
    try:
        launch.start_in_background(["up"], layout.root, out, 20)
    finally:
        children[0].kill()
        children[0].wait()
    assert out.file.getvalue().count("api") == 1


def sleeper() -> "subprocess.Popen[bytes]":
    return REAL_POPEN([sys.executable, "-c", "import time; time.sleep(600)"])


def test_a_child_that_never_gets_ready_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(launch.subprocess, "Popen", lambda *_, **__: children.append(sleeper()) or children[0])
    with pytest.raises(Unavailable, match="did not start"):
        launch.start_in_background(["up"], tmp_path / "data", Console(file=io.StringIO()), 0.2)
    assert children[0].poll() is not None


def test_the_port_is_that_of_the_environment_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAVO_PORT", "8123")
    assert parsed(["up"])["port"] == 8123
    assert parsed(["up", "--port", "8111"])["port"] == 8111
    monkeypatch.setenv("PAVO_PORT", "99999")
    with pytest.raises(CycloptsError):
        parsed(["up"])
