"""The reader of links finds what is wrong."""

from pathlib import Path

import pytest

from tests import markdown
from tests.markdown import anchors, links, pages

TEXT = """# A page, with `code`

A [link](other.md#what-is-it), one [over
lines](other.md), an ![image](missing.png "title"), one [outside](https://example.com), one [up](../../outside.md).
`[code](in-code.md)` and [`code`](other.md#nowhere), [here](#twice_1) and [defined][there].

```python
x = "[fenced](fenced.md)"
# no heading
```

## Twice
## Twice

[there]: gone.md
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(markdown, "ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# Other\n\n## What is it?\n")
    file = tmp_path / "page.md"
    file.write_text(TEXT)
    return file


def test_what_leads_nowhere_is_found(page: Path) -> None:
    wrong = [link.target for link in links(page) if not link.leads_somewhere()]
    assert wrong == ["missing.png", "../../outside.md", "other.md#nowhere", "gone.md"]
    assert len(links(page)) == 7


def test_anchors(page: Path) -> None:
    assert anchors(page) == {"a-page-with-code", "twice", "twice_1"}


def test_the_projects_pages_are_read() -> None:
    assert len(pages()) > 30 and sum(len(links(page)) for page in pages()) > 60
