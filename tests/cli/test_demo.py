"""`pavo demo`, for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


@pytest.mark.fault
def test_the_demo_survives_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PAVO_AUTH": "token", "PAVO_TEST_MARK": tmp_path.name}
    command = [sys.executable, "-m", "pavo.cli.main", "demo", "--steps", "25", "-o", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(done.stdout)
    assert found["survived"] and found["recorded"] == 25
    assert found["recovered_at"] >= 10
    assert "What it survived" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert [process for process in psutil.process_iter() if _is_ours(process, tmp_path.name)] == []


def _is_ours(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("PAVO_TEST_MARK") == mark
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
