"""`docs/guides/delegating.md`: its agent and its test are run as they stand."""

from pathlib import Path

from tests.guides import run_files


def test_what_the_guide_shows_runs(tmp_path: Path) -> None:
    run_files("delegating", ["editing.py", "test_editing.py"], tmp_path)
