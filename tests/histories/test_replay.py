"""Recorded histories of every shape replay on today's workflow, in the sandbox."""

import gzip
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from pavo.tasks.workflow import AgentTask
from pavo.temporal.sandbox import Sandbox
from tests.histories.shapes import FIRST, SHAPES

FILES = sorted(Path(__file__).parent.glob("*.json.gz"))


def history_of(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(file.name, gzip.decompress(file.read_bytes()).decode())


def kinds(name: str) -> list[str]:
    """Of the events of a recorded run."""
    history = history_of(Path(__file__).parent / f"{name}.json.gz")
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]


@pytest.mark.parametrize(("label", "shapes"), [("v1", FIRST), ("v2", set(SHAPES))])
def test_every_shape_is_recorded(label: str, shapes: set[str]) -> None:
    assert {file.name.split("-")[1] for file in FILES if file.name.startswith(f"{label}-")} == shapes


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".json.gz"))
async def test_replay(file: Path) -> None:
    await Replayer(workflows=[AgentTask], workflow_runner=Sandbox()).replay_workflow(history_of(file))


def test_the_shapes_are_what_their_names_say() -> None:
    for name in ("move_on", "move_on_in_review", "continue_as_new"):
        assert kinds(f"v2-{name}-1")[-1] == "WORKFLOW_EXECUTION_CONTINUED_AS_NEW", name
    assert len(kinds("v2-continue_as_new-1")) > 1_500
    assert kinds("v2-quick-1").count("ACTIVITY_TASK_SCHEDULED") == 0
    assert kinds("v2-quick_that_lasts-1").count("ACTIVITY_TASK_SCHEDULED") == 1
    assert kinds("v2-auto_accept-1").count("ACTIVITY_TASK_SCHEDULED") == 1, "one attempt is one activity"
    assert kinds("v2-failing_plan-1").count("TIMER_FIRED") == 4
    assert kinds("v2-failure-1")[-1] == "WORKFLOW_EXECUTION_FAILED"
    assert "ACTIVITY_TASK_CANCEL_REQUESTED" in kinds("v2-stop_while_planning-1")
    assert kinds("v2-answers_by_signal-1").count("WORKFLOW_EXECUTION_SIGNALED") == 3
    assert kinds("v2-review_and_revise-1").count("ACTIVITY_TASK_SCHEDULED") == 3, "two plans, and the attempt"
    assert kinds("v2-write_that_waits-1").count("ACTIVITY_TASK_SCHEDULED") == 3, "the plan, the write and the attempt"
