"""Names that git is given by others: URLs of repositories and branches, checked before git sees them. Pure."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pavo.errors import InvalidInput

MAX_URL: Final = 2_000
"""Characters."""
MAX_BRANCH: Final = 200
"""Bytes: a file system takes 255 for each part, and git appends `.lock`."""
_ODD_IN_URL: Final = re.compile(r"[\s\\\x00-\x20\x7f\"'<>`{}|^]")
_ODD_IN_BRANCH: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def server_url(url: str, field: str) -> SplitResult:
    """An http(s) URL of a server, in its parts.

    Raises:
        InvalidInput: it is none, or has user, password, query or fragment.
    """
    remedy = "Give an http(s) URL without user and password in it."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidInput(f"{field} is no URL.", field=field, remedy=remedy) from None
    right = parts.scheme in ("http", "https") and host and not host.startswith("-") and port != 0
    if not right or "@" in parts.netloc or "?" in url or "#" in url or _ODD_IN_URL.search(url) or len(url) > MAX_URL:
        raise InvalidInput(f"{field} is no URL of a server.", field=field, remedy=remedy)
    return parts


def check_clone_url(url: str, field: str = "clone_url", *, files: bool = False) -> str:
    """The URL itself, where git may be given it.

    Args:
        files: whether `file://` is taken too; for tests.

    Raises:
        InvalidInput: it is no http(s) URL of a repository.
    """
    if files and url.startswith("file:///") and not _ODD_IN_URL.search(url):
        return url
    if not server_url(url, field).path.strip("/"):
        raise InvalidInput(
            f"{field} names no repository.", field=field, remedy="Give the URL that clones it: https://host/owner/name."
        )
    return url


def check_branch(name: str, field: str = "branch") -> str:
    """The name itself, where it can be a branch: git-check-ref-format(1), and no option.

    Raises:
        InvalidInput: it cannot.
    """
    parts = name.split("/")
    wrong = (
        not name
        or len(name.encode(errors="replace")) > MAX_BRANCH
        or name.startswith(("-", "/", "refs/"))
        or name.endswith(("/", "."))
        or name in ("@", "HEAD")
        or _ODD_IN_BRANCH.search(name) is not None
        or any(part.startswith(".") or part.endswith(".lock") for part in parts)
        or any("\ud800" <= letter <= "\udfff" for letter in name)
    )
    if wrong:
        raise InvalidInput(
            f"{name[:60]!r} can be no branch.",
            field=field,
            remedy="Give a name as git takes it: letters, digits, '-', '_', '.' and '/', not beginning with '-'.",
        )
    return name
