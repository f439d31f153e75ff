"""Which forge a repository has, and where its API is."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httpx2

from pavo.errors import InvalidInput
from pavo.forges.asking import Access, ForgeServer, Remembered
from pavo.forges.gitea import Gitea
from pavo.forges.github import GitHub
from pavo.forges.gitlab import GitLab
from pavo.forges.port import FORGES, GITEA, GITHUB, GITLAB, Forge, Project
from pavo.kit.texts.git_names import server_url

_API: Final = {GITHUB: "/api/v3", GITLAB: "/api/v4", GITEA: "/api/v1"}
"""Where it is at one's own server; GitHub's own is `api.github.com`."""
_DIALECTS: Final[dict[str, tuple[Callable[[ForgeServer], Forge], str]]] = {
    GITHUB: (GitHub, "Bearer"),
    GITLAB: (GitLab, "Bearer"),
    GITEA: (Gitea, "token"),
}
"""Each with what its header `Authorization` says before the token."""
_PATH: Final = re.compile(r"[\w.-]+(/[\w.-]+)+", re.ASCII)


def open_forge(
    client: httpx2.AsyncClient,
    forge: str,
    clone_url: str,
    *,
    forge_url: str = "",
    token: str = "",
    remembered: Remembered | None = None,
) -> Forge:
    """The forge of a repository.

    Args:
        client: whose connections are used; where others name the URLs, one that reaches checked addresses alone.
        forge: github, gitlab or gitea.
        clone_url: of the repository, http(s).
        forge_url: base of the API, or of the forge; empty: at the clone URL's host.
        token: that is shown to the API; empty: none.
        remembered: of what it was asked before.

    Raises:
        InvalidInput: one of the URLs names no repository of that forge.
        ForgeDenied: the token is none.
    """
    if forge not in _DIALECTS:
        raise InvalidInput(f"{forge[:40]!r} is no forge.", field="forge", remedy=f"Give {', '.join(FORGES)}, or none.")
    base = base_url(forge, clone_url, forge_url)
    make, authorization = _DIALECTS[forge]
    project = project_of(forge, clone_url, base)
    return make(ForgeServer(client, Access(base, token), project, authorization, remembered))


def base_url(forge: str, clone_url: str, forge_url: str = "") -> str:
    """Of a forge's API, without a slash at its end.

    Raises:
        InvalidInput: no http(s) URL.
    """
    own = server_url(forge_url or clone_url, "forge_url" if forge_url else "clone_url")
    if own.hostname in ("github.com", "www.github.com", "api.github.com"):
        return "https://api.github.com"
    path = own.path.rstrip("/") if forge_url else ""
    if not path.endswith(_API[forge]):
        path += _API[forge]
    return f"{own.scheme}://{own.netloc}{path}"


def project_of(forge: str, clone_url: str, base: str) -> Project:
    """The repository, as its forge names it.

    Raises:
        InvalidInput: the URL names none.
    """
    own, api = server_url(clone_url, "clone_url"), urlsplit(base)
    path = own.path.strip("/").removesuffix(".git")
    root = api.path.removesuffix(_API[forge]).strip("/")
    if root and api.hostname == own.hostname:  # a forge below a path of its host
        path = path.removeprefix(f"{root}/")
    names = path.split("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(names) or (forge != GITLAB and len(names) != 2):
        raise InvalidInput(
            f"The clone URL names no repository of {forge}: {own.path[:100]!r}.",
            field="clone_url",
            remedy="Give the URL that the forge shows for cloning over HTTP: https://host/owner/name.git.",
        )
    return Project(own.hostname or "", path)
