"""Which tests run in one process when several run side by side (`pytest -n 3 --dist loadgroup`), and which begin.

Each process has its own stores, database, task queue and ports (conftest.py). What starts something expensive of its
own for all tests of a file or folder stays together, so that it is started once.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TOGETHER = ("faults", "observe", "ui")
"""Folders whose conftest.py starts a stack or a browser for the session."""
FIRST = ("faults", "cli/test_validate", "deploy/test_backup", "deploy/test_worker_versions", "ui")
"""The longest, in this order: begun last, one of them would run alone at the end."""


def group_of(path: Path) -> str:
    """By its place under tests/: the folder that stays together, else the file."""
    place = path.relative_to(TESTS)
    return place.parts[0] if place.parts[0] in TOGETHER else str(place.with_suffix(""))


def turn_of(group: str) -> int:
    """When a group begins; those of the same turn keep their order."""
    return FIRST.index(group) if group in FIRST else len(FIRST)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name each test's group, and let the long ones begin."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.path)))
    items.sort(key=lambda item: turn_of(group_of(item.path)))
