"""A small forge for each test's module, a repository for each test."""

import uuid
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
import pytest_asyncio

from tests.forges.real import gitea, private  # noqa: F401
from tests.forges.small_forge import FACES, Forge, User, has_git_over_http


@pytest.fixture(scope="session")
def small_forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """With two tokens: one writes, one reads."""
    if not has_git_over_http():
        pytest.skip("git http-backend is not installed")
    with Forge(tmp_path_factory.mktemp("forge"), FACES) as found:
        found.tokens["token-that-writes"] = User("ada")
        found.tokens["token-that-reads"] = User("bob", write=False)
        yield found


@pytest.fixture
def repository(small_forge: Forge) -> Iterator[str]:
    """A repository with a branch `pavo/work` that differs from `main`, and one that does not."""
    name = f"acme/{uuid.uuid4().hex[:8]}"
    small_forge.make_repository(name, {"README.md": "Hello\n"})
    first = small_forge.branch(name, "main")
    made = small_forge.commit(name, {"work.txt": "done\n"}, "Work", [first])
    small_forge.git(name, "update-ref", "refs/heads/pavo/work", made)
    small_forge.git(name, "update-ref", "refs/heads/pavo/same", first)
    yield name
    small_forge.interfere = lambda method, path: None


@pytest_asyncio.fixture
async def connections() -> AsyncIterator[httpx2.AsyncClient]:
    """As their owner has them."""
    async with httpx2.AsyncClient(trust_env=False) as found:
        yield found
