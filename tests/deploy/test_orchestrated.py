"""Docker and Kubernetes behind one face: what a deployment becomes there, and that nothing is lost between commands."""

import json
import os
from pathlib import Path

import pytest

from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.orchestrated.choose_target import orchestrated_target
from pavo.deploy.orchestrated.compose import read_env
from pavo.deploy.orchestrated.compose_target import compose_options, project_name
from pavo.errors import ConfigurationError, NotFound

COMPOSE = Deployment(target=TargetName.COMPOSE, workers=2, port=8080)
KUBERNETES = Deployment(target=TargetName.KUBERNETES, workers=3)
FAKE = """#!/bin/sh
echo "$(basename "$0") $@" >> {folder}/calls
case "$*" in *version*) echo 2.40.0 ;; *"get pods"*) echo '{{"items": []}}' ;; esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that write down what they were asked, and succeed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("docker", "helm", "kubectl"):
        (folder / name).write_text(FAKE.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "calls"


def test_compose_from_plan_to_destruction(tmp_path: Path, calls: Path) -> None:
    layout = Layout(tmp_path / "data")
    target = orchestrated_target(layout, COMPOSE)
    assert [part.name for part in target.plan()][-3:] == ["worker-1", "worker-2", "gateway"]
    addresses = {part.name: part.address for part in target.plan()}
    assert addresses["api"] == "127.0.0.1:8080" and addresses["temporal-ui"] == "127.0.0.1:8081"
    assert addresses["gateway"] == "127.0.0.1:7443" and addresses["postgres"] == "not published"
    assert any("compose.yaml" in line for line in target.changes()) and not layout.root.exists()
    target.write()
    assert not any("file" in line for line in orchestrated_target(layout, COMPOSE).changes())
    assert target.missing() is None
    target.start()
    target.restart("temporal")
    target.stop()
    asked = [line.split() for line in calls.read_text().splitlines() if "version" not in line]
    assert [words[4] for words in asked] == ["up", "restart", "stop"]
    target.destroy()
    assert "down --remove-orphans --volumes" in calls.read_text().splitlines()[-1]
    assert not target.folder.exists()


def test_the_major_of_the_data_stays_whatever_the_default_becomes(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    orchestrated_target(layout, COMPOSE.model_copy(update={"postgres_version": "16.4"})).write()
    assert read_env(tmp_path / "compose")["POSTGRES_MAJOR"] == "16"
    assert compose_options(layout, COMPOSE).postgres == 16
    orchestrated_target(layout, COMPOSE).write()
    with pytest.raises(ConfigurationError, match="PostgreSQL 16"):
        orchestrated_target(layout, COMPOSE.model_copy(update={"postgres_version": "18"})).write()


def test_two_data_directories_are_two_stacks(tmp_path: Path) -> None:
    one, other = project_name(Layout(tmp_path / "a")), project_name(Layout(tmp_path / "b"))
    assert one != other and one == project_name(Layout(tmp_path / "a"))


@pytest.mark.parametrize("change", [{"postgres": "postgresql://x/y"}, {"redis": "redis://x"}, {"apis": 2}])
def test_what_compose_cannot_do_is_said(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="brings its own") as raised:
        orchestrated_target(Layout(tmp_path), COMPOSE.model_copy(update=change))
    assert "native" in (raised.value.remedy or "")


def test_kubernetes_remembers_its_values(tmp_path: Path, calls: Path) -> None:
    layout, mine = Layout(tmp_path / "data"), tmp_path / "mine.yaml"
    with pytest.raises(NotFound, match="no installation"):
        orchestrated_target(layout, KUBERNETES)
    mine.write_text("temporal:\n  address: t:7233\n")
    target = orchestrated_target(layout, KUBERNETES, (mine,))
    assert [part.name for part in target.plan()] == ["api", "worker", "gateway"]
    target.write()
    mine.unlink()
    again = orchestrated_target(layout, KUBERNETES)
    assert not any("file" in line for line in again.changes())
    again.restart("gateway")
    assert "component=gateway" in calls.read_text().splitlines()[-1]
    again.start()
    call = calls.read_text().splitlines()[-1]
    assert call.index("values.yaml") < call.index("values-1.yaml") and "--wait" in call
    assert (target.folder / "values-1.yaml").read_text() == "temporal:\n  address: t:7233\n"
    found = json.loads((target.folder / "values.yaml").read_text())
    assert found["worker"] == {"replicas": 3} and found["api"] == {"replicas": 2}
    assert again.status() == []
    again.stop()
    assert "uninstall pavo" in calls.read_text() and target.folder.exists()
    again.destroy()
    assert not target.folder.exists()


def test_a_values_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml"):
        orchestrated_target(Layout(tmp_path), KUBERNETES, (tmp_path / "none.yaml",)).write()


def test_targets_of_this_machine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="this machine"):
        orchestrated_target(Layout(tmp_path), Deployment(target=TargetName.NATIVE))
