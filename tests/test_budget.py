"""The limit that tests have, proven on a run of its own; which tests stay together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import budget, groups

SLOW = """
import time
import pytest

def test_slow():
    time.sleep(0.3)

@pytest.mark.fault
def test_a_slow_fault():
    time.sleep(0.3)

def test_quick():
    pass

def test_broken():
    time.sleep(0.3)
    assert False, "its own reason"
"""
LOWERED = """
import os
from tests import budget
budget.LIMIT_SECONDS = 0.2
os.getloadavg = lambda: (0.0, 0.0, 0.0)

def pytest_configure(config):
    config.addinivalue_line("markers", "fault: is slow")
"""


@pytest.mark.parametrize("side_by_side", [(), ("-p", "xdist.plugin", "-n", "1")])
def test_a_slow_test_fails_by_name(tmp_path: Path, root: Path, side_by_side: tuple[str, ...]) -> None:
    (tmp_path / "conftest.py").write_text(LOWERED)
    (tmp_path / "test_slow.py").write_text(SLOW)
    words = ["-m", "pytest", "-p", "tests.budget", "-p", "no:cacheprovider", "-rA", *side_by_side, "."]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = done.stdout
    assert done.returncode == 1, told
    for outcome in ("FAILED test_slow.py::test_slow", "PASSED test_slow.py::test_a_slow_fault"):
        assert outcome in told
    assert "This test took 0.3 s" in told and "PASSED test_slow.py::test_quick" in told
    assert "its own reason" in told and told.count("This test took") == told.count("took 0.3 s; ")


@pytest.mark.parametrize(
    ("seconds", "load", "cores", "slow"),
    [
        (20, 0, 2, False),
        (20.1, 1, 2, True),
        (39, 4, 2, False),
        (41, 4, 2, True),
        (99, 10, 2, False),
        (101, 10, 2, True),
    ],
)
def test_a_loaded_machine_stretches_the_limit(seconds: float, load: float, cores: int, slow: bool) -> None:
    told = budget.complaint(seconds, load, cores)
    assert (told is not None) is slow
    assert not slow or f"{seconds:.1f} s" in (told or "")


TOGETHER = """
import os, pytest

@pytest.mark.parametrize("number", range(10))
def test_one(number):
    with open({told!r}, "a") as told:
        told.write(os.environ["PYTEST_XDIST_WORKER"] + " {name}\\n")
"""


def test_a_group_is_one_process(tmp_path: Path, root: Path) -> None:
    """As the suite runs, on files of its own: each file's tests in one process, the files in several."""
    told = tmp_path / "told"
    for name in "abcdef":
        (tmp_path / f"test_{name}.py").write_text(TOGETHER.format(told=str(told), name=name))
    plugins = [word for name in ("xdist.plugin", "tests.groups") for word in ("-p", name)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", "-n", "2", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = [line.split() for line in told.read_text().splitlines()]
    assert len(ran) == 60 and len({worker for worker, _ in ran}) == 2
    assert len({(worker, file) for worker, file in ran}) == 6, "a file ran in two processes"


def test_what_is_started_once_stays_together(root: Path) -> None:
    group = groups.group_of
    assert group("tests/faults/test_kill.py::test_a") == group("tests/faults/test_links.py::test_b[x]") == "faults"
    assert group("tests/cli/test_up.py::test_a") == "cli/test_up"
    native = "tests/deploy/native"
    assert group(f"{native}/test_upgrade.py::test_a") != group(f"{native}/test_upgrade.py::test_b")
    assert group(f"{native}/test_life.py::test_a") == group(f"{native}/test_faults.py::test_b") == "native deployment"
    assert group(f"{native}/test_life.py::test_other_versions[wheel-1]") != "native deployment"


def test_every_name_of_a_group_is_there(root: Path) -> None:
    named = {*groups.TOGETHER, *groups.SHARE_A_DEPLOYMENT, *groups.ALONE, *groups.FIRST} - {"native deployment"}
    for place, _, test in (name.partition("::") for name in named):
        file = root / "tests" / f"{place}.py"
        assert (root / "tests" / place).is_dir() or f"def {test}" in file.read_text(), (place, test)
