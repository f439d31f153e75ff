"""Recorded histories of every shape replay on today's workflow, in the sandbox."""

import gzip
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from pavo.tasks.workflow import AgentTask
from pavo.temporal.sandbox import Sandbox
from tests.histories.shapes import SHAPES

FILES = sorted(Path(__file__).parent.glob("*.json.gz"))


def test_every_shape_is_recorded() -> None:
    assert {file.name.split("-")[1] for file in FILES} == set(SHAPES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".json.gz"))
async def test_replay(file: Path) -> None:
    history = WorkflowHistory.from_json(file.name, gzip.decompress(file.read_bytes()).decode())
    await Replayer(workflows=[AgentTask], workflow_runner=Sandbox()).replay_workflow(history)
