"""`docs/guides/budgets.md`: its price table is one, and its snippets run as they stand."""

import re
from pathlib import Path

from pavo.usage.prices import PriceTable
from tests.guides import run_files


def test_what_the_guide_shows_runs(tmp_path: Path) -> None:
    run_files("budgets", ["priced.py", "test_priced.py"], tmp_path)


def test_its_price_table_is_one(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "guides" / "budgets.md").read_text()
    shown = re.search(r'```toml title="prices.toml"\n(.*?)```', text, re.S)
    assert shown is not None
    (tmp_path / "prices.toml").write_text(shown[1])
    prices = PriceTable.load(tmp_path / "prices.toml")
    assert prices.cost("gpt-4o-mini", 1, 0) == 150 and prices.cost("own-7b", 9, 9) == 0
