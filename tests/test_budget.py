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


@pytest.mark.parametrize("name", ["test_a.py::test_b", "test_a.py::test_b[ada@example.com]"])
def test_durations_are_kept_by_the_name_that_one_can_run(name: str) -> None:
    assert budget.without_group(name) == budget.without_group(f"{name}@faults, two workers") == name


def test_groups_are_known_before_tests_are_shared_out(root: Path) -> None:
    """A mark that comes after pytest-xdist looked changes nothing, and nobody would see it but in the minutes."""
    plugins = [word for name in ("xdist.plugin", "pytest_asyncio.plugin", "pytest_timeout") for word in ("-p", name)]
    words = ["-m", "pytest", *plugins, "-vv", "-n", "1", "--dist", "loadgroup", __file__, "-k", "a_loaded_machine"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0 and "@test_budget" in done.stdout, done.stdout + done.stderr


def test_what_is_started_once_stays_together(root: Path) -> None:
    tests = root / "tests"
    of_faults = [groups.group_of(tests / "faults" / f"test_{name}.py", ("stack",)) for name in ("kill", "links")]
    assert of_faults == ["faults", "faults"]
    assert groups.group_of(tests / "cli" / "test_up.py", ("stack",), "test_x") == "cli/test_up"
    upgrade, life = (tests / "deploy" / "native" / f"test_{name}.py" for name in ("upgrade", "life"))
    assert groups.group_of(upgrade, ("place",), "test_a") != groups.group_of(upgrade, ("place",), "test_b")
    assert groups.group_of(life, ("native", "shared_native"), "test_a") == "native deployment"
    for place in (*groups.TOGETHER, *groups.ALONE, *(set(groups.FIRST) - set(groups.SHARED.values()))):
        assert (tests / place).is_dir() or (tests / f"{place}.py").exists(), place
