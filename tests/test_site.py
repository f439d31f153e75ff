"""The site of docs/: what it is made of, and the tool that checks what was made."""

import asyncio
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from tools.check_site import faults
from tools.site_pages import ELSEWHERE, FROM_THE_TOP, turn

from tests.markdown import ROOT

DOCS = ROOT / "docs"
GENERATED = {*FROM_THE_TOP.values(), "decisions/index.md"}
REFERENCES = sorted((DOCS / "reference").glob("*.md"))
DIRECTIVE = re.compile(r"^::: ([\w.]+)$(?:\n    options:\n      members: \[(.+?)\])?", re.M)


def config() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def named(nav: Any) -> list[str]:
    """The pages of a navigation, in reading order."""
    if isinstance(nav, str):
        return [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in named(entry)]


def test_every_page_has_its_place_in_the_reading_order() -> None:
    pages = {str(file.relative_to(DOCS)) for file in DOCS.rglob("*.md")}
    decisions = {page for page in pages if page.startswith("decisions/")}
    listed = named(config()["nav"])
    assert len(listed) == len(set(listed))
    assert set(listed) == (pages - decisions) | GENERATED


def test_a_strict_build_would_tell_of_whatever_leads_nowhere() -> None:
    found = config()
    kinds = {*found["validation"]["links"].values(), *found["validation"]["nav"].values()}
    assert kinds == {"warn"} and {"not_found", "anchors"} <= set(found["validation"]["links"])
    assert "mkdocs build --strict" in (ROOT / "Makefile").read_text()
    assert found["theme"]["font"] is False, "fonts would be loaded from elsewhere"


def test_links_out_of_docs_are_turned_to_pages() -> None:
    assert turn("[a](../SECURITY.md#b) [c](trouble.md) [d](https://e.f)", "docs", "x.md") == (
        "[a](security.md#b) [c](trouble.md) [d](https://e.f)"
    )
    assert turn("[a](../../SECURITY.md)", "docs/guides", "guides/x.md") == "[a](../security.md)"
    assert turn("[a](docs/deployment.md#upgrade)", ".", "changelog.md") == "[a](deployment.md#upgrade)"
    assert turn("[a](docs/decisions/)", ".", "changelog.md") == "[a](decisions/index.md)"
    assert turn("[a](../src/x.py)", "docs", "x.md") == "[a](../src/x.py)", "left for MkDocs to tell of"
    assert all((ROOT / name).exists() for name in ELSEWHERE)


@pytest.mark.parametrize("page", REFERENCES, ids=lambda page: page.stem)
def test_the_reference_is_of_what_is_there_and_documented(page: Path) -> None:
    found = DIRECTIVE.findall(page.read_text())
    assert found
    for name, members in found:
        module = importlib.import_module(name)
        assert inspect.getdoc(module)
        public = [own for own in vars(module) if not own.startswith("_")]
        for member in members.split(", ") if members else public:
            shown = getattr(module, member)
            if getattr(shown, "__module__", None) == name:
                assert inspect.getdoc(shown), member


async def test_the_client_is_used_as_the_reference_shows(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / "reference" / "client.md").read_text()
    code = re.findall(r"```python\n(.+?)```", text, re.S)[0]
    assert "http://127.0.0.1:8000" in code
    await asyncio.to_thread(exec, code.replace("http://127.0.0.1:8000", stack), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [str(number) for number in range(1, len(lines) + 1)]
    assert {line.split()[1] for line in lines} >= {"accepted", "report"} and lines[-1].endswith("stage")


def test_the_lock_of_the_sites_tools_is_of_what_they_are(root: Path) -> None:
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    lock = (root / "requirements-docs.lock").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.M))
    for wanted in map(Requirement, groups["docs"]):
        assert wanted.specifier.contains(pins[wanted.name]), f"{wanted}: make lock-docs"
    for block in re.split(r"^(?=\w)", lock, flags=re.M)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<script src="https://cdn.example.com/x.js"></script>', "loads https://cdn.example.com/x.js"),
        ('<link rel="stylesheet" href="//fonts.example.com/x.css">', "loads //fonts.example.com/x.css"),
        ('<img src="missing.png">', "loads missing.png"),
        ('<a href="gone.html">x</a>', "leads to gone.html"),
        ('<a href="other.html#nowhere">x</a>', "leads to other.html#nowhere"),
        ('<a href="../outside.html">x</a>', "leads to ../outside.html"),
    ],
)
def test_what_is_wrong_with_a_built_site_is_found(tmp_path: Path, html: str, fault: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "outside.html").write_text("")
    (site / "other.html").write_text('<h1 id="here">Other</h1>')
    right = (
        '<a href="other.html#here">x</a><a href="https://example.com">y</a><link rel="canonical" href="https://e.f/">'
    )
    (site / "index.html").write_text(right)
    assert list(faults(site)) == []
    (site / "index.html").write_text(right + html)
    assert list(faults(site)) == [f"{site / 'index.html'}: {fault}"]


def test_what_a_style_sheet_loads_is_seen(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    (tmp_path / "a.css").write_text("@import 'https://e.f/x.css'; b { background: url(data:image/png;base64,AA) }")
    assert list(faults(tmp_path)) == [f"{tmp_path / 'a.css'}: loads https://e.f/x.css"]


def test_no_site_is_a_fault(tmp_path: Path) -> None:
    assert list(faults(tmp_path)) == [f"{tmp_path} has no page"]
