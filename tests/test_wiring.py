"""One way of wiring: endpoints are handed what they need, and look nothing up."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from pavo import config
from pavo.accounts.dependencies import current_identity
from pavo.api import create_app
from pavo.tasks.dependencies import own_task
from pavo.timeline.http import position

MAY_LOOK_UP = {"dependencies.py", "endpoints.py", "http.py", "health.py"}
"""Where requests are asked for `app.state`: one place a slice, and the health checks."""


def test_the_application_is_asked_in_one_place_of_a_slice(root: Path) -> None:
    source = root / "src" / "pavo"
    found = {
        path.relative_to(source) for path in source.rglob("*.py") if re.search(r"\.app\.state\b", path.read_text())
    }
    assert {path.name for path in found} == MAY_LOOK_UP, found
    slices = [path.parts[0] for path in found]
    assert len(slices) == len(set(slices)), found


def all_of(dependant: Dependant) -> Iterator[Dependant]:
    for inner in dependant.dependencies:
        yield inner
        yield from all_of(inner)


def test_no_dependency_costs_a_thread() -> None:
    """The framework runs plain functions, classes too, in its pool of threads."""
    calls = {
        inner.call
        for found in iter_route_contexts(create_app(config.Settings()).routes)
        if (dependant := getattr(found.route, "dependant", None)) is not None
        for inner in all_of(dependant)
    }
    assert {own_task, position, current_identity} <= calls
    assert [call for call in calls if not inspect.iscoroutinefunction(call)] == []
