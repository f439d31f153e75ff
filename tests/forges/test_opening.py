"""Which forge, and where its API is."""

import httpx2
import pytest

from pavo.errors import InvalidInput
from pavo.forges.opening import base_url, open_forge, project_of

PLACES = [
    ("github", "https://github.com/acme/thing.git", "", "https://api.github.com", "acme/thing"),
    ("github", "https://github.com/acme/thing", "https://api.github.com/", "https://api.github.com", "acme/thing"),
    ("github", "https://ghe.example.com/acme/thing.git", "", "https://ghe.example.com/api/v3", "acme/thing"),
    (
        "github",
        "https://ghe.example.com/acme/thing.git",
        "https://ghe.example.com/api/v3/",
        "https://ghe.example.com/api/v3",
        "acme/thing",
    ),
    ("gitlab", "https://gitlab.com/a/b/c/d.git", "", "https://gitlab.com/api/v4", "a/b/c/d"),
    (
        "gitlab",
        "https://host:8443/lab/a/b.git",
        "https://host:8443/lab",
        "https://host:8443/lab/api/v4",
        "a/b",
    ),
    ("gitea", "http://127.0.0.1:3000/acme/thing.git", "", "http://127.0.0.1:3000/api/v1", "acme/thing"),
    ("gitea", "https://code.x/git/acme/thing.git", "https://code.x/git", "https://code.x/git/api/v1", "acme/thing"),
]


@pytest.mark.parametrize(("forge", "clone_url", "forge_url", "base", "path"), PLACES)
def test_places(forge: str, clone_url: str, forge_url: str, base: str, path: str) -> None:
    assert base_url(forge, clone_url, forge_url) == base
    assert project_of(forge, clone_url, base).path == path


WRONG = [
    ("svn", "https://x/a/b", "", "forge"),
    ("github", "ext::sh -c id", "", "clone_url"),
    ("github", "file:///etc", "", "clone_url"),
    ("github", "https://user:secret@x/a/b", "", "clone_url"),
    ("github", "https://x/a", "", "clone_url"),
    ("github", "https://x/a/b/c", "", "clone_url"),
    ("gitlab", "https://x/a/../b", "", "clone_url"),
    ("gitea", "https://x/a/b?c=d", "", "clone_url"),
    ("gitea", "https://x/a/b", "ftp://x", "forge_url"),
    ("gitea", "https://x/a/b", "https://[x", "forge_url"),
    ("gitea", "https://x:99999/a/b", "", "clone_url"),
    ("gitea", "https://x/a/b c", "", "clone_url"),
]


@pytest.mark.parametrize(("forge", "clone_url", "forge_url", "field"), WRONG)
def test_wrong_places_name_their_field(forge: str, clone_url: str, forge_url: str, field: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        open_forge(httpx2.AsyncClient(trust_env=False), forge, clone_url, forge_url=forge_url)
    assert wrong.value.field == field and wrong.value.remedy
    assert "secret" not in wrong.value.detail
