"""The example of a conversation that grows, as its reader follows it."""

from pathlib import Path

from tests.guides import run_files


def test_the_counsellor_works_as_it_stands(tmp_path: Path) -> None:
    run_files("agents", ["tellers.py", "test_tellers.py", "counsellor.py", "test_counsellor.py"], tmp_path)
