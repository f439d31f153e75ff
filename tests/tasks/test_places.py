"""Places of a worker: each group finds some, whatever the others hold."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.tasks.work.slots.places import LATE_SECONDS, Group, Places, WorkerPlaces

GROUPS: list[Group] = [(name, uuid.UUID(int=0)) for name in "abcdef"]


def fill(places: Places, group: Group) -> list[uuid.UUID]:
    """Tasks that got a place, until one does not."""
    taken: list[uuid.UUID] = []
    while places.take(group, task := uuid.uuid4()):
        taken.append(task)
    return taken


@given(st.integers(1, 200))
def test_a_group_alone_has_them_all_and_the_next_finds_some(size: int) -> None:
    places = Places(size)
    assert len(fill(places, GROUPS[0])) == size
    if size > 1:
        assert len(fill(places, GROUPS[1])) >= size // 2
    if size > 5:
        assert fill(places, GROUPS[2])


@given(st.integers(1, 50), st.lists(st.tuples(st.sampled_from(GROUPS), st.booleans()), max_size=300))
def test_what_is_taken_is_given_back_and_never_too_much(size: int, moves: list[tuple[Group, bool]]) -> None:
    places, held = Places(size), dict.fromkeys(GROUPS, 0)
    for group, give in moves:
        if give and held[group]:
            places.give(group)
            held[group] -= 1
        elif not give and places.take(group, uuid.uuid4()):
            held[group] += 1
        assert {name: count for name, count in held.items() if count} == places.taken()
        assert sum(held.values()) <= 2 * size and max(held.values()) <= size


def test_first_come_first_served() -> None:
    places, group = Places(1), GROUPS[0]
    first, second, third = (uuid.uuid4() for _ in range(3))
    assert places.take(group, first)
    assert not places.take(group, second) and not places.take(group, third) and not places.take(group, second)
    assert places.waiting() == 2
    assert places.give(group) == second
    assert not places.take(group, first), "it had its turn"
    assert not places.take(group, third)
    assert places.take(group, second)
    assert places.waiting() == 2


def test_the_more_wait_the_less_often_each_is_offered() -> None:
    places, group = Places(1), GROUPS[0]
    assert places.take(group, uuid.uuid4())
    pauses: list[float] = []
    for _ in range(1000):
        assert not places.take(group, uuid.uuid4())
        pauses.append(places.pause())
    assert pauses == sorted(pauses) and pauses[0] == 5
    assert 30 <= pauses[499] == 50 and pauses[-1] == 60


def test_whoever_waits_no_more_is_passed_over() -> None:
    places, group = Places(1), GROUPS[0]
    first, stopped, third = (uuid.uuid4() for _ in range(3))
    assert places.take(group, first)
    assert not places.take(group, stopped) and not places.take(group, third)
    assert places.give(group) == stopped
    assert places.forget(group, stopped) == third
    assert places.take(group, third) and places.waiting() == 0


def test_whoever_was_woken_and_does_not_come_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    places, group, now = Places(1), GROUPS[0], 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    first, gone, third = (uuid.uuid4() for _ in range(3))
    assert places.take(group, first)
    assert not places.take(group, gone)
    for _ in range(600):
        assert not places.take(group, third) and not places.take(group, uuid.uuid4())
    assert places.give(group) == gone
    now += LATE_SECONDS + 0.1
    assert places.take(group, third)


def test_what_one_group_gives_back_wakes_another() -> None:
    places, (one, other, third, *_) = Places(1), GROUPS
    assert places.take(one, uuid.uuid4()) and places.take(other, uuid.uuid4())
    assert not places.take(third, waits := uuid.uuid4())
    assert places.give(one) == waits
    assert places.take(third, waits)


@given(st.integers(1, 9), st.lists(st.tuples(st.sampled_from(GROUPS), st.booleans()), max_size=100))
def test_those_of_a_worker_are_so_many_and_no_more(size: int, moves: list[tuple[Group, bool]]) -> None:
    places, held, waiting = WorkerPlaces(size), list[Group](), list[uuid.UUID]()
    for group, give in moves:
        if give and held:
            woken = places.give(held.pop())
            assert woken == (waiting[0] if waiting else None), "whoever came first, whatever its agent"
            if woken is not None:
                assert places.take(group, woken)
                held.append(group)
                del waiting[0]
        elif not give:
            free = len(held) < size
            new = uuid.uuid4()
            assert places.take(group, new) is free
            (held.append(group) if free else waiting.append(new))
        assert len(held) <= size and places.waiting() == len(waiting)


def test_a_place_of_the_worker_is_kept_for_whoever_waits() -> None:
    places, first, second, third = WorkerPlaces(1), *(uuid.uuid4() for _ in range(3))
    assert places.take(GROUPS[0], first) and not places.take(GROUPS[1], second)
    assert places.give(GROUPS[0]) == second
    assert not places.take(GROUPS[0], third), "it came later"
    assert places.forget(GROUPS[1], second) == third
    assert places.take(GROUPS[0], third)
