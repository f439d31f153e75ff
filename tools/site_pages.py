"""A hook of MkDocs (see mkdocs.yml): pages of the site that are files elsewhere in the repository.

Links in docs/ and in the files at the top are written so that they work where the repository is read; here those that
lead out of docs/ are turned to the site's pages.
"""

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # so that tests can read this without the site's tools
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

FROM_THE_TOP = {"CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
"""Files at the top of the repository that are pages of the site."""
DECISIONS = "decisions/index.md"
ELSEWHERE = {**FROM_THE_TOP, "CONTRIBUTING.md": "contributing.md", "docs/decisions": DECISIONS}
"""What a link may name in the repository, and the page of the site that it means."""

_LINK = re.compile(r"(\]\()([^)#:\s]+)(#[^)\s]*)?(\))")


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """List every decision in the navigation, so that a new one needs no second place."""
    for section in config.nav or []:
        if isinstance(section, dict) and "Decisions" in section:
            section["Decisions"] += [
                {title.replace("`", ""): page} for page, title in _decisions(Path(config.docs_dir))
            ]
    return config


def on_files(files: "Files", *, config: "MkDocsConfig") -> "Files":
    """Add the pages that are no files of docs/."""
    from mkdocs.structure.files import File

    docs = Path(config.docs_dir)
    for source, page in FROM_THE_TOP.items():
        text = turn((docs.parent / source).read_text(encoding="utf-8"), ".", page)
        files.append(File.generated(config, page, content=text))
    icon = docs.parent / "src" / "pavo" / "ui" / "static" / "favicon.svg"
    files.append(File.generated(config, "images/favicon.svg", content=icon.read_bytes()))
    files.append(File.generated(config, DECISIONS, content=_index(docs)))
    return files


def on_page_markdown(markdown: str, *, page: "Page", **_: Any) -> str:
    """Turn the links of a file of docs/."""
    name = page.file.src_uri
    if page.file.generated_by is not None:
        return markdown
    return turn(markdown, posixpath.dirname(f"docs/{name}"), name)


def turn(text: str, folder: str, page: str) -> str:
    """`text` with the links that it has as a file in `folder` of the repository, as the site's page needs them."""
    here = posixpath.dirname(page)

    def turned(found: re.Match[str]) -> str:
        begin, link, anchor, end = found.groups()
        target = posixpath.normpath(posixpath.join(folder, link))
        meant = ELSEWHERE.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if meant is None:
            return found[0]  # MkDocs warns, and --strict ends there
        return f"{begin}{posixpath.relpath(meant, here or '.')}{anchor or ''}{end}"

    return _LINK.sub(turned, text)


def _decisions(docs: Path) -> list[tuple[str, str]]:
    """Page and title of each, in their order."""
    found: list[tuple[str, str]] = []
    for file in sorted((docs / "decisions").glob("[0-9]*.md")):
        title = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        found.append((f"decisions/{file.name}", title))
    return found


def _index(docs: Path) -> str:
    lines = [f"- [{title}]({posixpath.basename(page)})" for page, title in _decisions(docs)]
    return "\n".join(
        ("# Why it is built so", "", "Each decision with what led to it and what follows.", "", *lines, "")
    )
