"""What README and docs point to exists."""

import re
from pathlib import Path

import pytest

FILES = ["README.md", *(f"docs/{name}.md" for name in ("architecture", "promises", "configuration", "command-line"))]
FUNCTION = re.compile(r"`([a-z_.]+\.)?([A-Z]\w+\.)?(_?[a-z]\w+)`")

OTHER_WORDS = {"stop_grace", "timeline_append", "recovered", "stopped", "accepted", "seq"}
"""Names in the walks that are no Python functions."""


@pytest.mark.parametrize("name", FILES)
def test_links_and_files(root: Path, name: str) -> None:
    text = (root / name).read_text()
    here = (root / name).parent
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (here / link).exists(), link
    for path in re.findall(r"`((?:tests|src|examples|docs|tools)/[\w./-]+)`", text):
        assert (root / path).exists(), path


def test_the_walks_name_real_functions(root: Path) -> None:
    source = "\n".join(file.read_text() for file in (root / "src" / "pavo").rglob("*.py"))
    walks = (root / "docs" / "architecture.md").read_text().split("## Walks")[1].split("## Data")[0]
    named = {match[2] for match in FUNCTION.findall(walks)}
    assert len(named) > 20
    for name in named - OTHER_WORDS:
        assert re.search(rf"def {name}\b", source), name


def test_decision_records_are_short(root: Path) -> None:
    records = sorted((root / "docs" / "decisions").glob("*.md"))
    assert len(records) >= 9
    for record in records:
        lines = record.read_text().splitlines()
        assert len(lines) <= 40 and "**Decision.**" in record.read_text(), record.name
