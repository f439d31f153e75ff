"""The project's Markdown files, their links and their anchors, read as the site and code hosts read them."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parent.parent
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
EXAMPLES = ("examples/pavo-agent-wordcount/README.md", "examples/from_celery/README.md")

_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.M | re.S)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.S)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(\S+)", re.M)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.M)


@dataclass(frozen=True, slots=True)
class Link:
    """One relative link."""

    file: Path
    target: str

    def leads_somewhere(self) -> bool:
        """Whether the file is in this repository, and has the anchor."""
        path, _, anchor = self.target.partition("#")
        place = (self.file.parent / unquote(path)).resolve() if path else self.file
        if not place.is_relative_to(ROOT) or not place.exists():
            return False
        return not anchor or (place.suffix == ".md" and anchor in anchors(place))


def pages() -> list[Path]:
    """Every Markdown file that people are sent to."""
    return [*(ROOT / name for name in (*TOP, *EXAMPLES)), *sorted((ROOT / "docs").rglob("*.md"))]


def links(file: Path) -> list[Link]:
    """The relative links of a file, images too."""
    text = _CODE.sub("code", _FENCE.sub("", file.read_text(encoding="utf-8")))
    found = [*_LINK.findall(text), *_DEFINITION.findall(text)]
    return [Link(file, target) for target in found if not re.match(r"[a-z][a-z0-9+.-]*:|//", target)]


@cache
def anchors(file: Path) -> frozenset[str]:
    """The anchors of a file's headings, as Python-Markdown makes them; a repeated one has `_1` added."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", file.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        number = 0
        while (name := f"{slug}_{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return frozenset(found)
