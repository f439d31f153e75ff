"""Recorded histories of every shape replay on today's workflow, in the sandbox."""

import gzip
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import _Definition  # pyright: ignore[reportPrivateUsage]

from pavo.temporal.sandbox import Sandbox
from pavo.worker import workflows
from tests.histories.flow_shapes import FLOW_SHAPES
from tests.histories.job_shapes import JOB_SHAPES
from tests.histories.shapes import FIRST, SHAPES

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.json.gz"))
JOBS = sorted(HERE.glob("jobs/*.json.gz"))
FLOWS = sorted(HERE.glob("flows/*.json.gz"))
BY_TYPE = {_Definition.must_from_class(each).name: each for each in workflows()}


def history_of(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(file.name, gzip.decompress(file.read_bytes()).decode())


def kinds(name: str) -> list[str]:
    """Of the events of a recorded run."""
    history = history_of(HERE / f"{name}.json.gz")
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]


@pytest.mark.parametrize(("label", "shapes"), [("v1", FIRST), ("v2", set(SHAPES))])
def test_every_shape_is_recorded(label: str, shapes: set[str]) -> None:
    assert {file.name.split("-")[1] for file in FILES if file.name.startswith(f"{label}-")} == shapes


def test_every_shape_of_jobs_is_recorded() -> None:
    assert {file.name.split("-")[1] for file in JOBS if file.name.startswith("v1-")} == set(JOB_SHAPES)


def test_every_shape_of_flows_is_recorded() -> None:
    assert {file.name.split("-")[1] for file in FLOWS if file.name.startswith("v1-")} == set(FLOW_SHAPES)


@pytest.mark.parametrize("file", [*FILES, *JOBS, *FLOWS], ids=lambda file: file.name.removesuffix(".json.gz"))
async def test_replay(file: Path) -> None:
    """By the class that a worker has for it, and as a worker runs it."""
    history = history_of(file)
    started = history.events[0].workflow_execution_started_event_attributes
    await Replayer(workflows=[BY_TYPE[started.workflow_type.name]], workflow_runner=Sandbox()).replay_workflow(history)


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


def test_the_shapes_of_jobs_are_what_their_names_say() -> None:
    for name in ("plan_review_that_moves_on", "job_that_moves_on", "long_job", "busy_queue"):
        assert kinds(f"jobs/v1-{name}-1")[-1] == "WORKFLOW_EXECUTION_CONTINUED_AS_NEW", name
        assert (HERE / f"jobs/v1-{name}-2.json.gz").exists()
    for name in ("job_failure", "verification_that_fails", "refused_lease"):
        assert kinds(f"jobs/v1-{name}-1")[-1] == "WORKFLOW_EXECUTION_FAILED", name
    assert kinds("jobs/v1-done-1").count("ACTIVITY_TASK_COMPLETED") == 4, "one for each command"
    assert kinds("jobs/v1-verification_rounds-1").count("ACTIVITY_TASK_COMPLETED") == 6
    assert kinds("jobs/v1-plan_review-1").count("WORKFLOW_EXECUTION_UPDATE_COMPLETED") == 2
    assert kinds("jobs/v1-cancellation-1").count("WORKFLOW_EXECUTION_UPDATE_COMPLETED") == 1
    assert kinds("jobs/v1-lost_session-1").count("ACTIVITY_TASK_FAILED") == 2
    assert kinds("jobs/v1-agent_that_is_silent-1").count("ACTIVITY_TASK_TIMED_OUT") == 1
    assert kinds("jobs/v1-agent_that_is_away-1").count("ACTIVITY_TASK_TIMED_OUT") >= 1
    assert kinds("jobs/v1-agent_that_comes_back_elsewhere-1").count("ACTIVITY_TASK_CANCEL_REQUESTED") == 1
    assert kinds("jobs/v1-stage_that_waits-1").count("ACTIVITY_TASK_COMPLETED") == 5, "a write is among them"
    assert kinds("jobs/v1-jobs_that_are_given-1").count("CHILD_WORKFLOW_EXECUTION_STARTED") == 2
    assert kinds("jobs/v1-attempt_that_is_there-1").count("START_CHILD_WORKFLOW_EXECUTION_FAILED") == 1
    assert kinds("jobs/v1-queue_that_others_hold-1").count("TIMER_FIRED") >= 1
    assert kinds("jobs/v1-ping_of_a_silent_agent-1").count("ACTIVITY_TASK_TIMED_OUT") == 1


def test_the_shapes_of_flows_are_what_their_names_say() -> None:
    for name in ("a_run_that_moves_on", "many_items"):
        assert kinds(f"flows/v1-{name}-1")[-1] == "WORKFLOW_EXECUTION_CONTINUED_AS_NEW", name
        assert (HERE / f"flows/v1-{name}-2.json.gz").exists()
    assert kinds("flows/v1-items_waits_and_branches-1").count("ACTIVITY_TASK_SCHEDULED") == 3, "one for each item"
    assert kinds("flows/v1-tries_that_fail-1").count("ACTIVITY_TASK_SCHEDULED") == 3
    assert kinds("flows/v1-what_is_undone-1").count("ACTIVITY_TASK_SCHEDULED") == 3
    assert kinds("flows/v1-a_question-1").count("WORKFLOW_EXECUTION_SIGNALED") >= 1
    assert "ACTIVITY_TASK_CANCEL_REQUESTED" in kinds("flows/v1-a_cancelled_run-1")
