"""What README and docs point to exists."""

import re
from pathlib import Path

import pytest

from tests.markdown import ROOT, links, pages

FILES = [str(file.relative_to(ROOT)) for file in pages()]
FUNCTION = re.compile(r"`([a-z_.]+\.)?([A-Z]\w+\.)?(_?[a-z]\w+)`")

OTHER_WORDS = {"stop_grace", "timeline_append", "recovered", "stopped", "accepted", "seq"}
"""Names in the walks that are no Python functions."""


@pytest.mark.parametrize("name", FILES)
def test_links_and_files(root: Path, name: str) -> None:
    text = (root / name).read_text()
    wrong = [link for link in links(root / name) if not link.leads_somewhere()]
    assert wrong == []
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


@pytest.mark.parametrize(
    ("name", "heading"), [("SECURITY.md", "What is protected from whom"), ("docs/promises.md", "")]
)
def test_what_is_claimed_names_the_tests_that_try_to_break_it(root: Path, name: str, heading: str) -> None:
    text = (root / name).read_text()
    if heading:
        text = text.split(f"## {heading}")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 10
    for row in rows:
        named = re.findall(r"`(tests/[\w./-]+)`", row.rstrip(" |").rsplit("|", 1)[1])
        assert named, row
        for path in named:
            place = root / path
            files = [place] if place.is_file() else list(place.rglob("test_*.py"))
            assert files and any("def test_" in file.read_text() for file in files), path


def test_the_changelog_is_in_its_form(root: Path) -> None:
    text = (root / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.M)
    assert len(versions) == text.count("\n## "), "a heading is no version"
    assert versions[0] == ("Unreleased", "")
    released = [tuple(int(part) for part in version.split(".")) for version, _ in versions[1:]]
    assert released == sorted(released, reverse=True) and all(date for _, date in versions[1:])
    groups = re.findall(r"^### (.+)$", text, re.M)
    assert set(groups) <= {"Upgrade", "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for section in text.split("\n## ")[1:]:
        assert "### " not in section or "### Upgrade" in section, "what does an upgrade to it need?"
