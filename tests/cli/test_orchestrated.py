"""`pavo deploy` on Docker Compose and Kubernetes, as far as it goes without an engine or a cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import command

from pavo.cli.deploy import orchestrated as cli
from pavo.deploy.model import deployment
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError, Conflict, InvalidInput

COMPOSE = Deployment(target=TargetName.COMPOSE)
KUBERNETES = Deployment(target=TargetName.KUBERNETES)


def start(
    layout: Layout, wanted: Deployment = COMPOSE, *values: Path, dry_run: bool = False, force: bool = False
) -> int:
    return cli.start(layout, wanted, values, cli.StartMode(force, True, dry_run, None))


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A machine without any of the programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return Layout(tmp_path / "data")


@pytest.fixture
def equipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A machine whose Docker says that one part is healthy."""
    folder = tmp_path / "bin"
    folder.mkdir()
    row = {"Service": "api", "Name": "pavo-api-1", "State": "running", "Health": "healthy", "ExitCode": 0}
    answers = {"version": "2.40.0", " ps ": json.dumps(row), " logs ": "api-1  | it | runs"}
    cases = " ".join(f"*'{asked}'*) echo '{answer}' ;;" for asked, answer in answers.items())
    (folder / "docker").write_text(f'#!/bin/sh\ncase "$*" in {cases} esac\n')
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Layout(tmp_path / "data")


def test_a_dry_run_writes_the_files_where_no_engine_runs(bare: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(bare, dry_run=True) == 0
    said = capsys.readouterr().out
    assert "new file" in said and "temporalio/server" in said and "nothing was started" in said
    assert (bare.root / "compose" / "compose.yaml").exists()
    assert deployment.load(bare) == COMPOSE


def test_the_plan_names_what_the_shell_says_and_the_files_do_not(
    bare: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A PAVO_TEMPORAL_CODEC_KEY of the shell was ignored without a word."""
    start(bare, dry_run=True)
    folder = bare.root / "compose"
    (folder / "pavo.env").write_text("PAVO_WORKER_TASKS='7'\n")
    shell = {"PAVO_TEMPORAL_CODEC_KEY": "hidden", "PAVO_SECRET_KEY": "hidden", "PAVO_AUTH": "token", "PAVO_AUHT": "dev"}
    for name, value in {**shell, "PAVO_WORKER_TASKS": "7", "PAVO_LOG_LEVEL": "DEBUG"}.items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert cli.start(bare, COMPOSE, (), cli.StartMode(False, True, True, None, "json")) == 0
    out, said = capsys.readouterr()
    told = json.loads(out)["settings"]
    assert [each["name"] for each in told["differences"]] == [
        *("PAVO_LOG_LEVEL", "PAVO_SECRET_KEY", "PAVO_TEMPORAL_CODEC_KEY")
    ]
    assert told["unread"] == ["PAVO_AUHT"] and "hidden" not in out + said
    start(bare, dry_run=True)
    said = capsys.readouterr().out
    assert "PAVO_TEMPORAL_CODEC_KEY: this shell has a value, the deployment keeps none" in said and "pavo.env" in said


def test_the_plan_of_a_cluster_names_every_setting_of_the_shell(
    bare: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("temporal: {address: 't:7233'}\n")
    monkeypatch.setenv("PAVO_TEMPORAL_CODEC_KEY", "hidden")
    start(bare, KUBERNETES, mine, dry_run=True)
    said = capsys.readouterr().out
    assert "PAVO_TEMPORAL_CODEC_KEY of this shell is not read" in said and "hidden" not in said


def test_a_misspelt_name_stops_a_first_start(bare: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAVO_AUHT", "token")
    with pytest.raises(InvalidInput, match="PAVO_AUHT"):
        start(bare, dry_run=True)
    assert not bare.root.exists()


def test_without_an_engine_a_start_writes_nothing_and_names_the_dry_run(bare: Layout) -> None:
    with pytest.raises(ConfigurationError, match="no docker") as raised:
        start(bare)
    assert "--dry-run" in (raised.value.remedy or "") and not bare.root.exists()


def test_a_dry_run_for_kubernetes_keeps_the_values(bare: Layout, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("temporal: {address: 't:7233'}\n")
    assert start(bare, KUBERNETES, mine, dry_run=True) == 0
    assert start(bare, KUBERNETES, dry_run=True) == 0
    assert (bare.root / "kubernetes" / "values-1.yaml").read_text() == mine.read_text()


def test_start_status_and_destruction(equipped: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(equipped) == 0
    target = cli.found(equipped)
    assert target is not None
    capsys.readouterr()
    assert cli.status(target, "json") == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert parts == [{"name": "api", "state": "healthy", "ready": True, "restarts": None}]
    assert cli.destroy(equipped, target, approved=True) == 0
    assert cli.found(equipped) is None and not target.folder.exists()


def test_a_directory_has_one_target(equipped: Layout) -> None:
    start(equipped, dry_run=True)
    with pytest.raises(Conflict, match="deployed as compose"):
        start(equipped, KUBERNETES, dry_run=True)
    (equipped.root / "deployment.json").unlink()
    (equipped.root / "state.json").write_text("{}")
    with pytest.raises(Conflict, match="this machine"):
        start(equipped, dry_run=True)


def test_bad_versions_stop_unless_forced(bare: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    old = COMPOSE.model_copy(update={"temporal_version": "1.25.0"})
    with pytest.raises(ConfigurationError) as raised:
        start(bare, old, dry_run=True)
    assert raised.value.field == "--temporal-version"
    start(bare, COMPOSE.model_copy(update={"temporal_version": "1.30.2"}), dry_run=True)
    assert "1.30.2" in capsys.readouterr().out


def test_the_commands_find_the_target_that_was_started(equipped: Layout, tmp_path: Path) -> None:
    def pavo(*words: str, expect: int = 0) -> str:
        done = command.pavo(["deploy", *words, "--data-dir", str(equipped.root)])
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    said = pavo("start", "--target", "compose", "--workers", "2", "--postgres-version", "17", "--dry-run")
    assert "worker-2" in said and "postgres:17" in said
    assert "Nobody can be asked" in pavo("start", expect=2)
    assert "healthy" in pavo("start", "--auto-approve")
    assert json.loads(pavo("status", "--output", "json"))["parts"][0]["ready"]
    words = [sys.executable, "-m", "pavo.cli.main", "deploy", "logs", "api", "--data-dir", str(equipped.root)]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout == "api-1      it | runs\n"
    assert json.loads(pavo("logs", "api", "-o", "json")) == {"part": "api-1", "line": "it | runs"}
    pavo("restart", "temporal")
    assert "no part" in pavo("restart", "cassandra", expect=2)
    pavo("stop")
    pavo("destroy", "--auto-approve")
    assert "There is no deployment" in pavo("status", expect=3)
    mine = tmp_path / "mine.yaml"
    mine.write_text("temporal: {address: 't:7233'}\n")
    assert "helm upgrade" in pavo("start", "--target", "kubernetes", "--values", str(mine), "--dry-run")
