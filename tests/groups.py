"""Which tests run in one process when several run side by side (`pytest -n 3`), and which begin.

Each process has its own stores, database, task queue and ports (conftest.py). What shares something expensive stays
together, so that it is started once. The groups are named by a scheduler of our own: the marks of `--dist loadgroup`
are not seen with this pytest, and without them every process would start every file's stack.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("faults", "observe", "ui")
"""Folders whose conftest.py starts a stack or a browser for all of it."""
NATIVE = "deploy/native"
SHARE_A_DEPLOYMENT = tuple(f"{NATIVE}/test_{name}" for name in ("faults", "life", "rolling"))
"""Files whose tests use the one native deployment of their folder, but those of `ALONE`."""
ALONE = (
    f"{NATIVE}/test_life::test_other_versions",
    f"{NATIVE}/test_rolling::test_one_worker_on_an_older_temporal_hands_its_tasks_over",
    f"{NATIVE}/test_upgrade::",
)
"""Tests that start a deployment each."""
FIRST = (
    "faults",
    "native deployment",
    f"{NATIVE}/test_restore",
    f"{NATIVE}/test_bad_input",
    "deploy/test_worker_versions",
    "cli/test_validate",
    "deploy/test_backup",
    "ui",
)
"""The longest, in this order: begun last, one of them would run alone at the end."""


def group_of(test: str) -> str:
    """The group of a test, by its name as pytest prints it."""
    file, _, name = test.removeprefix("tests/").partition("::")
    place = file.removesuffix(".py")
    if any(f"{place}::{name}".startswith(alone) for alone in ALONE):
        return f"{place}::{name}"
    if place in SHARE_A_DEPLOYMENT:
        return "native deployment"
    folder = place.partition("/")[0]
    return folder if folder in TOGETHER else place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long groups begin, and keep each group's tests side by side."""
    turns = {group: turn for turn, group in enumerate(FIRST)}
    groups = [group_of(item.nodeid) for item in items]
    seen = {group: turns.get(group, len(turns) + place) for place, group in enumerate(dict.fromkeys(groups))}
    items.sort(key=lambda item: seen[group_of(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadScopeScheduling":
    """Share out whole groups, in their order."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False  # it would begin with what has the most tests, which are the quickest
    return Groups(config, log)
