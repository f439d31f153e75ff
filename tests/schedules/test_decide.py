"""What becomes of what is due while something of before is open: the overlap policies, as pure rules."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.schedules.domain import Decision, Due, Overlap, decide, mirror_id, schedule_of_workflow
from pavo.schedules.models import OVERLAPS

BEGAN = datetime(2026, 11, 27, tzinfo=UTC)


def due(*overlaps: Overlap) -> list[Due]:
    return [Due(uuid.UUID(int=number), BEGAN + timedelta(hours=number), each) for number, each in enumerate(overlaps)]


def numbers(found: Decision) -> tuple[int | None, list[int], list[int]]:
    """What begins, is left out, and waits."""
    begins = None if found.begin is None else found.begin.int
    return begins, [each.int for each, _ in found.skip], [each.int for each in found.waits]


@pytest.mark.parametrize(
    ("overlaps", "begins", "left_out", "waits", "stops"),
    [
        (("SKIP", "SKIP"), None, [0, 1], [], False),
        (("BUFFER_ONE", "BUFFER_ONE", "BUFFER_ONE"), None, [1, 2], [0], False),
        (("BUFFER_ALL", "BUFFER_ALL"), None, [], [0, 1], False),
        (("CANCEL_OTHER", "CANCEL_OTHER"), None, [0], [1], True),
        (("TERMINATE_OTHER",), None, [], [], True),
        (("ALLOW_ALL", "SKIP"), 0, [], [], False),
        (("BUFFER_ALL", "SKIP", "ALLOW_ALL"), 2, [1], [0], False),
    ],
)
def test_while_something_is_open(
    overlaps: tuple[Overlap, ...], begins: int | None, left_out: list[int], waits: list[int], stops: bool
) -> None:
    found = decide(due(*overlaps), "task 1 is open")
    assert numbers(found) == (begins, left_out, waits)
    assert found.stop == stops and found.without_waiting == ("TERMINATE_OTHER" in overlaps)
    assert all("task 1 is open" in why for _, why in found.skip)


@given(st.lists(st.sampled_from(OVERLAPS), max_size=8), st.sampled_from(("", "task 1 is open")))
def test_none_is_forgotten(overlaps: list[Overlap], busy: str) -> None:
    """Each begins, is left out, waits, or is decided anew after the one that begins; where nothing is open, the
    oldest begins."""
    wanted = due(*overlaps)
    found = decide(wanted, busy)
    begins, left_out, waits = numbers(found)
    seen = [*left_out, *waits, *([] if begins is None else [begins])]
    assert len(seen) == len(set(seen)) and set(seen) <= set(range(len(wanted)))
    if not busy:
        assert begins == (0 if wanted else None) and not left_out and not waits
    elif begins is None and not found.without_waiting:
        assert sorted(seen) == list(range(len(wanted)))


def test_the_schedule_of_a_workflow_is_known_by_its_id() -> None:
    schedule = uuid.uuid4()
    workflow = f"{mirror_id('some-queue', schedule)}-2026-11-27T10:00:00Z"
    assert schedule_of_workflow(workflow) == str(schedule)
    assert schedule_of_workflow("task:1") is None and schedule_of_workflow("pavo-schedule:queue:x") is None
