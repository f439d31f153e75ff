"""What runs once more: a few that failed, of runs that came to their end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.again import MOST, UNFINISHED, Failures, again

PLUGIN = """
from pathlib import Path
from tests.again import Failures

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(Path({remembered!r})))
"""
TESTS = """
import os
import pytest

@pytest.fixture
def broken():
    raise OSError("its end")

def test_passes(): pass

def test_fails(): assert False

def test_does_not_begin(broken): pass

def test_ends_the_run():
    if "{how}" == "killed":
        os.kill(os.getpid(), 9)
    if "{how}" == "interrupted":
        raise KeyboardInterrupt
"""


def ran(folder: Path, root: Path, how: str, *arguments: str) -> tuple[int, Path]:
    """How a run of tests of its own ended, and what it remembered."""
    remembered = folder / "failures"
    (folder / "conftest.py").write_text(PLUGIN.format(remembered=str(remembered)))
    (folder / "test_it.py").write_text(TESTS.format(how=how))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, remembered


@pytest.mark.parametrize("side_by_side", [(), ("-p", "xdist.plugin", "-n", "1")])
def test_what_failed_is_remembered(tmp_path: Path, root: Path, side_by_side: tuple[str, ...]) -> None:
    failed, remembered = ran(tmp_path, root, "", *side_by_side)
    expected = ["test_it.py::test_fails", "test_it.py::test_does_not_begin"]
    assert failed == 1 and again(remembered) == expected
    passed, _ = ran(tmp_path, root, "", "-k", "passes")
    assert passed == 0 and again(remembered) == expected, "a later run of others takes nothing away"


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_run_without_an_end_is_no_coincidence(tmp_path: Path, root: Path, how: str) -> None:
    failed, remembered = ran(tmp_path, root, how)
    assert failed not in (0, 1) and UNFINISHED in remembered.read_text() and again(remembered) is None
    ran(tmp_path, root, "", "-k", "fails")
    assert again(remembered) is None, "whatever ran later"


def test_a_run_beside_it_harms_none(tmp_path: Path) -> None:
    remembered = tmp_path / "failures"
    failures = Failures(remembered)
    failures.pytest_sessionstart()
    remembered.unlink()  # somebody begins anew
    failures.pytest_sessionfinish(0)
    assert again(remembered) is None and remembered.read_text() == ""


@pytest.mark.parametrize(("failures", "runs"), [(0, False), (1, True), (MOST, True), (MOST + 1, False)])
def test_a_few_run_again(tmp_path: Path, failures: int, runs: bool) -> None:
    remembered = tmp_path / "failures"
    assert again(remembered) is None
    remembered.write_text("".join(f"test_{number}\n" for number in range(failures)))
    assert (again(remembered) is not None) is runs
