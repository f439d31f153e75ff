"""`docs/guides/orchestrators.md`: its agents and its tests are run as they stand."""

from pathlib import Path

from tests.guides import run_files


def test_what_the_guide_shows_runs(tmp_path: Path) -> None:
    run_files(
        "orchestrators",
        [
            *("trips.py", "test_trips.py", "wrens.py", "test_wrens.py"),
            *("larks.py", "test_larks.py", "finches.py", "test_finches.py"),
        ],
        tmp_path,
    )
