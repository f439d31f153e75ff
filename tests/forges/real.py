"""A real Gitea for the tests of the group `native`, with people in it who may more or less."""

import time
import uuid
from collections.abc import Iterator

import pytest
from examples.jobs.forge import Refusal
from examples.jobs.gitea import Gitea
from tools.build_gitea import program

OWNER, WRITER, READER, STRANGER = "ada", "pavo", "bob", "eve"
WRITES = ("write:repository", "write:issue")


@pytest.fixture(scope="session")
def gitea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gitea]:
    """With its people; none of them has a repository yet."""
    installed = program()
    if installed is None:
        pytest.skip("Gitea is not built: `make native` builds it where Go and a C compiler are")
    with Gitea(installed, tmp_path_factory.mktemp("gitea") / "all") as found:
        for name in (OWNER, WRITER, READER, STRANGER):
            found.add_user(name)
        yield found


@pytest.fixture
def private(gitea: Gitea) -> str:
    """A private repository of the owner's: a branch `pavo/work` differs from `main`, `pavo/same` does not."""
    name = f"{OWNER}/{uuid.uuid4().hex[:8]}"
    gitea.make_repository(name, {"README.md": "Hello\n"})
    for who, what in ((WRITER, "write"), (READER, "read")):
        gitea.ask("PUT", f"/repos/{name}/collaborators/{who}", {"permission": what})
    gitea.ask("POST", f"/repos/{name}/branches", {"new_branch_name": "pavo/same", "old_branch_name": "main"})
    gitea.commit(name, "main", {"work.txt": "done\n"}, "Work", new_branch="pavo/work")
    return name


def tip(gitea: Gitea, repository: str, branch: str) -> str:
    """The commit of a branch."""
    return gitea.ask("GET", f"/repos/{repository}/branches/{branch}")["commit"]["id"]


def merge(gitea: Gitea, repository: str, number: int, how: str) -> None:
    """Merge a pull request, once Gitea has found out whether it can."""
    end = time.monotonic() + 60
    while True:
        try:
            gitea.ask("POST", f"/repos/{repository}/pulls/{number}/merge", {"Do": how}, OWNER)
            return
        except Refusal as refusal:
            if refusal.status != 405 or time.monotonic() > end:
                raise
            time.sleep(0.1)
