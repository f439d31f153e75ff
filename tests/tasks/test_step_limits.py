"""Which limit of a step holds where the agent has one, the task, or both."""

import pytest

from pavo.tasks.work.interruption import stricter


@pytest.mark.parametrize(
    ("of_agent", "of_task", "seconds", "whose"),
    [
        (None, 2.0, 2.0, "the task's step_seconds"),
        (3.0, 2.0, 2.0, "the task's step_seconds"),
        (2.0, 3.0, 2.0, "the agent's step_seconds"),
        (2.0, 2.0, 2.0, "the agent's step_seconds"),
        (2.0, None, 2.0, "the agent's step_seconds"),
    ],
)
def test_the_stricter_one(of_agent: float | None, of_task: float | None, seconds: float, whose: str) -> None:
    limit = stricter(of_agent, of_task)
    assert limit is not None and limit.seconds == seconds and whose in limit.remedy
    assert "pavo task logs" in limit.remedy


def test_none() -> None:
    assert stricter(None, None) is None
