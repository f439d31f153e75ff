"""`docs/guides/tools.md`: its tools, its agent and its test are run as they stand."""

from pathlib import Path

from tests.guides import run_files


def test_what_the_guide_shows_runs(tmp_path: Path) -> None:
    run_files("tools", ["billing.py", "test_billing.py"], tmp_path)
