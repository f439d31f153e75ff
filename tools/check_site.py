"""What a built site must not do: load anything from elsewhere when it is read, or lead to a page that is not there.

    python tools/check_site.py build/site

MkDocs checks the links of the pages' texts; this looks at what was made of them, the theme's own parts included.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
"""Elements that load what they name, and by which attribute; `link` does so too, but for some relations."""
IDLE_RELATIONS = {"canonical", "next", "prev", "alternate", "author", "license"}
_FROM_CSS = re.compile(r"url\(\s*['\"]?(?!data:)([^'\")]+)|@import\s+['\"]([^'\"]+)")


class PageOfSite(HTMLParser):
    """One page: what it loads, where it leads, and which anchors it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and not IDLE_RELATIONS & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        elif tag in LOADS and LOADS[tag] in given:
            self.loads.append(given[LOADS[tag]])


def faults(site: Path) -> Iterator[str]:
    """Every fault of the site, as a line for people."""
    pages = {file: PageOfSite(file) for file in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} has no page"
    for file, page in pages.items():
        if file.name == "404.html":
            continue  # its links begin at the root of wherever the site is served
        yield from (f"{file}: loads {fault}" for load in page.loads if (fault := _fault(site, file, load, pages, True)))
        yield from (f"{file}: leads to {fault}" for link in page.links if (fault := _fault(site, file, link, pages)))
    for sheet in sorted(site.rglob("*.css")):
        for found in _FROM_CSS.finditer(sheet.read_text(encoding="utf-8")):
            if fault := _fault(site, sheet, found[1] or found[2], pages, True):
                yield f"{sheet}: loads {fault}"


def _fault(site: Path, file: Path, link: str, pages: dict[Path, PageOfSite], loaded: bool = False) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return link if loaded and parts.scheme != "data" else None
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file.resolve()
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file() or not target.is_relative_to(site.resolve()):
        return link
    page = pages.get(target) or pages.get(site / target.relative_to(site.resolve()))
    anchor = unquote(parts.fragment)
    # Material adds the targets of its own drawers and of the top when the page runs.
    return link if page and anchor and not anchor.startswith("__") and anchor not in page.anchors else None


def main() -> int:
    """Exit 1 with a line for each fault."""
    site = Path(sys.argv[1])
    found = list(faults(site))
    for line in found:
        print(line, file=sys.stderr)
    print(f"site: {len(list(site.rglob('*.html')))} pages, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
