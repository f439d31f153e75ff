"""What is told of the code that an agent is."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pavo.agents.code_version import CodeVersion


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "edited_agents"
    folder.mkdir()
    (folder / "__init__.py").write_text("A = 1\n")
    (folder / "parts.py").write_text("B = 1\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return folder


def found() -> CodeVersion:
    return CodeVersion.found("edited_agents:Agent", "edited-agents 1.0")


def test_an_edit_without_another_version_is_another_label(package: Path) -> None:
    before = found()
    assert before.label.startswith("edited-agents 1.0 (code ")
    (package / "parts.py").write_text("B = 2\n")
    assert found().label != before.label and not before.is_still_there


def test_the_same_files_on_another_machine_are_the_same_label(package: Path, tmp_path: Path) -> None:
    before = found()
    os.utime(package / "parts.py", (1, 1))
    assert found().label == before.label
    package.rename(tmp_path / "away")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "away").rename(elsewhere / "edited_agents")
    sys.path.insert(0, str(elsewhere))
    assert found().label == before.label


def test_what_is_gone_or_unreadable_is_told_too(package: Path) -> None:
    before = found()
    (package / "parts.py").unlink()
    (package / "parts.py").symlink_to("nowhere.py")
    assert found().label != before.label


def test_many_threads_may_ask_at_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each forgets what Python remembers of places, and Python fails where another one was quicker."""
    switching = sys.getswitchinterval()
    monkeypatch.setattr(sys, "path_importer_cache", {**sys.path_importer_cache})
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            for _ in range(20):
                sys.path_importer_cache |= {f"/nowhere/{number}": None for number in range(5_000)}  # pyright: ignore[reportAttributeAccessIssue]
                labels = {each.result().label for each in [threads.submit(found) for _ in range(8)]}
                assert len(labels) == 1 and "code" in labels.pop()
    finally:
        sys.setswitchinterval(switching)
