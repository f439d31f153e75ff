"""A small forge with real git over HTTP, and workspaces of an agent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pavo.remote.workspaces import Workspaces, WorkspaceSettings
from tests.forges.conftest import repository, small_forge  # noqa: F401
from tests.remote.git.attempts import GivesCredentials


@pytest.fixture
def credentials() -> GivesCredentials:
    return GivesCredentials()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Workspaces]:
    """Workspaces below the test's folder; arguments change the settings."""

    def make(**changes: Any) -> Workspaces:
        settings = WorkspaceSettings(tmp_path / "state", least_free_bytes=1_000_000, transfer_seconds=30)
        return Workspaces(replace(settings, **changes))

    return make


@pytest.fixture
def workspaces(make: Callable[..., Workspaces]) -> Workspaces:
    return make()
