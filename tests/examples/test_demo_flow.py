"""`make demo-flow` as a process: a flow of agents, Temporal and the worker killed, nothing left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_SECONDS = 200


@pytest.mark.fault
@pytest.mark.timeout(240)
def test_a_flow_survives_its_temporal_and_its_worker(root: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PAVO_", "DATABASE_"))}
    environment |= {"TMPDIR": str(tmp_path), "COLUMNS": "80"}
    command = [sys.executable, "-m", "examples.flows.demo"]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    said = done.stdout
    assert done.returncode == 0, f"{said}\n{done.stderr}"
    assert "Temporal killed with SIGKILL" in said and "The worker killed with SIGKILL" in said
    assert "5 tasks of agents for 5 steps, each done once" in said and "The run has succeeded" in said
    assert all(len(line) <= 80 for line in said.splitlines()), said
    assert list(tmp_path.iterdir()) == []
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in running
