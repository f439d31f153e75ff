"""Which tests run in one process when several run side by side (`pytest -n 3 --dist loadgroup`), and which begin.

Each process has its own stores, database, task queue and ports (conftest.py). What shares something expensive stays
together, so that it is started once.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SHARED = {"native": "native deployment", "two_workers": "faults, two workers", "stack": "faults"}
"""Fixtures of tests/deploy/native and tests/faults that are one stack for the folder, and the group they make."""
TOGETHER = ("observe", "ui")
"""Folders whose conftest.py starts a stack or a browser for all of it."""
ALONE = (
    "deploy/native/test_upgrade",
    "deploy/native/test_life",
    "deploy/native/test_rolling",
    "deploy/native/test_tls",
)
"""Files whose tests start a deployment each, unless they have a shared one."""
FIRST = (
    "faults",
    "native deployment",
    "deploy/native/test_restore",
    "cli/test_validate",
    "deploy/test_worker_versions",
    "deploy/test_backup",
    "faults, two workers",
    "ui",
)
"""The longest, in this order: begun last, one of them would run alone at the end."""


def group_of(path: Path, fixtures: tuple[str, ...] = (), name: str = "") -> str:
    """By the stack that a test shares, else by its place under tests/: the folder that stays together, or the file."""
    place = path.relative_to(TESTS)
    if place.parts[0] == "faults" or "native" in place.parts:
        shared = [group for fixture, group in SHARED.items() if fixture in fixtures]
        if shared:
            return shared[0]
    if place.parts[0] in TOGETHER:
        return place.parts[0]
    file = str(place.with_suffix(""))
    return f"{file} {name}" if file in ALONE else file


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Name each test's group before pytest-xdist looks for it, and let the long ones begin."""
    turns = {group: turn for turn, group in enumerate(FIRST)}
    groups = {item: group_of(item.path, tuple(getattr(item, "fixturenames", ())), item.name) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: turns.get(groups[item], len(turns)))
    yield
