"""What README and docs point to exists."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.markdown import ROOT, links, pages

FILES = [str(file.relative_to(ROOT)) for file in pages()]
NAME = re.compile(r"`([a-z_]+(?:/[a-z_]+)*/?(?:\.\w+)*)`")

OTHER_WORDS = {"Last-Event-ID", "Step"}
"""What looks like a class in the walks and is none."""


@pytest.mark.parametrize("name", FILES)
def test_links_and_files(root: Path, name: str) -> None:
    text = (root / name).read_text()
    wrong = [link for link in links(root / name) if not link.leads_somewhere()]
    assert wrong == []
    for path in re.findall(r"`((?:tests|src|examples|docs|tools)/[\w./-]+)`", text):
        module = root / "src" / "pavo" / f"{path.partition('.')[0]}.py"  # the slice `tools`, as the walks name it
        assert (root / path).exists() or module.exists(), path


def _holds(tree: ast.AST, names: Sequence[str]) -> bool:
    """Whether a module or class defines the first name, and that the next one."""
    if not names:
        return True
    for node in ast.walk(tree) if isinstance(tree, ast.ClassDef) else ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == names[0]:
            return _holds(node, names[1:])
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if any(getattr(target, "id", getattr(target, "attr", None)) == names[0] for target in targets):
            return len(names) == 1
    return False


def _is_there(source: Path, name: str) -> bool:
    """Whether `folder/module.Name.method` is in the code; a folder or a module alone as well."""
    path, _, rest = name.rpartition("/")
    module, *names = rest.split(".")
    place = source / path / module
    if place.is_dir() and not names:
        return True
    file = place.with_suffix(".py")
    return file.is_file() and _holds(ast.parse(file.read_text()), names)


def test_the_architecture_names_what_there_is(root: Path) -> None:
    text = (root / "docs" / "architecture.md").read_text()
    source = root / "src" / "pavo"
    top = {entry.stem for entry in source.iterdir()} - {"logging"}
    named = {name for name in NAME.findall(text) if re.split(r"[./]", name)[0] in top}
    wrong = {name for name in named if not _is_there(source, name.rstrip("/"))}
    assert len(named) > 60 and wrong == set()
    walks = text.split("## Walks")[1].split("## Data")[0]
    for name in re.findall(r"`((?:[A-Z]\w+|_\w+)[\w.]*)`", walks):
        assert name in OTHER_WORDS, f"{name} stands without its module"


def test_each_decision_record_has_a_number_of_its_own(root: Path) -> None:
    files = sorted((root / "docs/decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in files]
    assert len(numbers) == len(set(numbers)), numbers
    for path in files:
        assert path.read_text().startswith(f"# {int(path.name[:4])}. "), path.name


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
