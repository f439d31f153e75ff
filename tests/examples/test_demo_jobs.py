"""`make demo-jobs` as a process: five jobs, two agents, one killed, five pull requests, nothing left behind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tools.build_gitea import program

from tests.forges.small_forge import has_git_over_http

LIMIT_SECONDS = 280


def demo(root: Path, folder: Path, forge: str) -> str:
    command = [sys.executable, "-m", "examples.jobs.demo", "--forge", forge]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PAVO_", "DATABASE_"))}
    environment |= {"TMPDIR": str(folder), "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def check(said: str, folder: Path, root: Path) -> None:
    assert len(re.findall(r"“Add a page \w+ to the site\.?”: DONE by (?:anna|bert)", said)) == 5, said
    assert "5 pull requests for 5 jobs" in said and "killed with SIGKILL" in said
    assert list(folder.iterdir()) == []
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in running


@pytest.mark.fault
@pytest.mark.timeout(300)
def test_five_jobs_and_a_small_forge(root: Path, tmp_path: Path) -> None:
    if not has_git_over_http():
        pytest.skip("git http-backend is not installed")
    check(demo(root, tmp_path, "small"), tmp_path, root)


@pytest.mark.fault
@pytest.mark.native
@pytest.mark.timeout(300)
def test_five_jobs_and_gitea(root: Path, tmp_path: Path) -> None:
    if program() is None:
        pytest.skip("Gitea is not built: `make native` builds it where Go and a C compiler are")
    check(demo(root, tmp_path, "gitea"), tmp_path, root)
