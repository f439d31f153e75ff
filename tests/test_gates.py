"""Where the gates are called from: by make, before a commit, and elsewhere; all call the same."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.markdown import ROOT

ACTIONLINT = Path(sys.executable).parent / "actionlint"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
CACHED = ("~/.cache/uv", "~/.cache/pavo", "~/.cache/go-build", "~/go/pkg/mod")


def recipe(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert found, target
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


def test_hooks_before_a_commit_run_what_make_check_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks: list[dict[str, Any]] = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [repo["repo"] for repo in config["repos"]] == ["local"], "others' tools would have versions of their own"
    assert [hook["entry"] for hook in hooks] == recipe("check")
    for hook in hooks:
        assert hook["language"] == "system" and hook["always_run"] and not hook["pass_filenames"], hook["id"]


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ACTIONLINT, "-no-color", file], capture_output=True, text=True, check=False, cwd=ROOT)


def test_actionlint_has_nothing_to_say_of_the_workflow() -> None:
    said = lint(WORKFLOW)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("runs-on: ubuntu-24.04", "runs-on: ubuntu-2404"),
        ("matrix.python }}", "matrix.pyhton }}"),
        ("path: ~/.cache/uv", "pth: ~/.cache/uv"),
    ],
)
def test_actionlint_finds_mistakes(tmp_path: Path, right: str, wrong: str) -> None:
    text = WORKFLOW.read_text()
    assert right in text
    file = tmp_path / "ci.yml"
    file.write_text(text.replace(right, wrong))
    assert lint(file).returncode == 1


def test_the_workflow_calls_what_the_project_calls(root: Path) -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert [step["run"] for step in jobs["run"]["steps"] if "run" in step] == [".ci/run"]
    for command in set(commands) - {".ci/run"}:
        assert re.fullmatch(r"make [a-z-]+", command) and recipe(command.removeprefix("make "))
    assert (root / ".ci" / "run").stat().st_mode & 0o100
    oldest = re.search(r'requires-python = ">=(.+?)"', (root / "pyproject.toml").read_text())
    pythons = jobs["run"]["strategy"]["matrix"]["python"]
    assert oldest and pythons[0] == oldest[1] and len(pythons) > 1
    kept = " ".join(step["with"]["path"] for step in jobs["run"]["steps"] if "cache" in step.get("uses", ""))
    assert set(CACHED) <= set(kept.split())
    for name in re.findall(r"'([\w./-]+)'", WORKFLOW.read_text()):
        assert (root / name).is_file(), name


def test_make_takes_the_python_that_the_workflow_names() -> None:
    """Whatever the Makefile would find by itself; where there is none of that name, nothing else is taken."""
    said = subprocess.run(
        ["make", "--dry-run", "--always-make", "setup"],
        env={"PATH": "/usr/bin:/bin", "MAKEFLAGS": "PYTHON=python3.99"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "python3.99" in said.stdout
