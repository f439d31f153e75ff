"""`docs/guides/from-celery.md`: what it shows is the example, which runs, and its test runs as it stands."""

from pathlib import Path

from tests.guides import BLOCK, run_files

FILES = ["digest.py", "on_celery.py", "on_pavo.py"]


def test_what_the_guide_shows_is_the_example(root: Path) -> None:
    shown = dict(BLOCK.findall((root / "docs/guides/from-celery.md").read_text()))
    for name in FILES:
        assert shown[name] == (root / "examples/from_celery" / name).read_text(), name


def test_its_test_runs(tmp_path: Path) -> None:
    run_files("from-celery", [*FILES, "test_digest.py"], tmp_path)
