"""What a run hands on: a state of yesterday is read by today's workflow."""

from temporalio.converter import DataConverter

from pavo.tasks.contracts import RunState, TaskInput

YESTERDAY = (
    b'{"task_id": "t", "generation": 3, "auto_accept": true, "resume": true, "carry": {"transition": 7,'
    b' "phase": "executing", "plan_hash": "h", "failures": 1, "failed_step": 4, "steps": 5}}'
)
"""As `Carry` was written before it was the state itself."""


def test_a_carry_of_yesterday_is_read() -> None:
    converter = DataConverter.default.payload_converter
    payload = converter.to_payloads([{}])[0]
    payload.data = YESTERDAY
    (found,) = converter.from_payloads([payload], [TaskInput])
    assert found == TaskInput("t", 3, True, True, RunState(7, "executing", "h", 1, 4, 5))
