"""URLs, branches, repositories and programs that want more than a worktree."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pavo.errors import InvalidInput
from pavo.kit.texts.git_names import check_branch, check_clone_url
from pavo.remote.errands.failures import BAD_REPOSITORY, CREDENTIAL_REFUSED, NO_SPACE
from pavo.remote.work import CommandFailed
from pavo.remote.workspaces import Workspaces
from tests.forges.small_forge import FACES, Forge
from tests.remote.git.attempts import TOKEN, GivesCredentials, attempt, git, write

BRANCH = "pavo/job"
URLS = [
    "--upload-pack=touch {marker}",
    "-u touch {marker}",
    "ext::sh -c touch% {marker}",
    "file:///etc",
    "/etc",
    "ssh://-oProxyCommand=touch%20{marker}/x",
    "git@host:a/b",
    "git://host/a/b",
    "http://user:password@host/a/b",
    "http://-host/a/b",
    "http://host/a b",
    "http://host/a\nb",
    "http://host/a?x=--upload-pack",
    "http://host",
    "http://[host/a",
    "https:///a/b",
    "",
]
BRANCHES = ["", "-x", "--force", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b", ".a"]
BRANCHES += [
    "a/.b",
    "a.lock",
    "a.lock/b",
    "a.",
    "@",
    "@{u}",
    "HEAD",
    "refs/heads/a",
    "a\x00",
    "a\x7f",
    "a\n",
    "x" * 201,
]
ODD_BRANCHES = ["a;id", "$(id)", "`x`", "a'b", 'a"b', "a&b|c", "ünï/cöde", "a#b", "100%", "a@b", "a{b}", "@@", "a--b"]


@pytest.mark.parametrize("url", URLS)
async def test_urls_with_more_in_them(
    workspaces: Workspaces, credentials: GivesCredentials, url: str, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    job, _ = attempt(credentials)
    with pytest.raises(CommandFailed) as refused:
        await workspaces.prepare(job, url.format(marker=marker), "main", BRANCH)
    assert refused.value.kind == BAD_REPOSITORY and refused.value.remedy and not marker.exists()
    assert credentials.asked == [] and "password" not in refused.value.detail.replace("without user and password", "")
    with pytest.raises(InvalidInput) as wrong:
        check_clone_url(url)
    assert wrong.value.field == "clone_url"


@pytest.mark.parametrize("name", BRANCHES)
async def test_names_that_are_no_branches(workspaces: Workspaces, credentials: GivesCredentials, name: str) -> None:
    job, _ = attempt(credentials)
    for base, branch in ((name, BRANCH), ("main", name)):
        with pytest.raises(CommandFailed) as refused:
            await workspaces.prepare(job, "http://127.0.0.1:9/a/b", base, branch)
        assert refused.value.kind == BAD_REPOSITORY
    accepted = subprocess.run(["git", "check-ref-format", "--branch", name.replace("\0", "\x01")], capture_output=True)
    assert accepted.returncode != 0 or name.startswith(("refs/", "@")) or len(name) > 200


@pytest.mark.parametrize("name", ODD_BRANCHES)
def test_odd_names_that_git_takes(name: str) -> None:
    assert check_branch(name) == name
    subprocess.run(["git", "check-ref-format", "--branch", name], check=True, capture_output=True)


async def test_odd_branches_are_worked_on(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    base = "$(touch${IFS}x);'ü\"&"
    small_forge.git(repository, "update-ref", f"refs/heads/{base}", small_forge.branch(repository, "main"))
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), base, f"pavo/{base}")
    write(made, "x y;$(touch z).txt", "x")
    found = await workspaces.commit(made, "--amend", job)
    await workspaces.push(made, found.commit, f"pavo/{base}", job)
    listed = small_forge.git(repository, "ls-tree", "-r", "--name-only", found.commit)
    assert sorted(listed.splitlines()) == ["README.md", "x y;$(touch z).txt"]
    assert small_forge.git(repository, "for-each-ref", "--format=%(refname)", f"refs/heads/pavo/{base}") != ""


class Watches:
    """Looks, while git asks the server, whether the token is anywhere that others can read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.found, self.looks = folder, [], 0
        self.lock = threading.Lock()

    def __call__(self, method: str, path: str) -> None:
        with self.lock:
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        if TOKEN.encode() in (process / name).read_bytes():
                            self.found.append(str(process / name))
                    except OSError:
                        pass
            self.found += holding(self.folder)


def holding(folder: Path) -> list[str]:
    """Files with the token in them."""
    return [str(each) for each in folder.rglob("*") if each.is_file() and TOKEN.encode() in each.read_bytes()]


async def test_the_token_is_nowhere(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, tmp_path: Path
) -> None:
    watches = Watches(tmp_path)
    small_forge.interfere = watches
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    found = await workspaces.commit(made, "x", job)
    await workspaces.push(made, found.commit, BRANCH, job)
    assert small_forge.branch(repository, BRANCH) == found.commit
    assert watches.looks > 5 and len(credentials.asked) >= 3 and watches.found == [] and holding(tmp_path) == []
    assert TOKEN not in log.text and git(made, "remote", "-v") == ""


async def test_a_server_that_repeats_the_token_is_not_logged(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    hook = small_forge.place(repository) / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho your token is {TOKEN}, http://me:secret@host/ >&2\nexit 1\n")
    hook.chmod(0o755)
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    found = await workspaces.commit(made, "x", job)
    with pytest.raises(CommandFailed) as refused:
        await workspaces.push(made, found.commit, BRANCH, job)
    assert "your token is ***" in log.text and "secret" not in log.text
    assert TOKEN not in refused.value.detail + log.text


async def test_another_host_gets_no_credential(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, tmp_path: Path
) -> None:
    """The server sends git elsewhere."""
    with Forge(tmp_path / "evil", FACES) as evil:
        small_forge.interfere = lambda method, path: (302, {"Location": f"{evil.url}{path}"}, b"")
        job, _ = attempt(credentials)
        with pytest.raises(CommandFailed) as refused:
            await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
        assert refused.value.kind == CREDENTIAL_REFUSED and "asks for it" in refused.value.detail
        assert evil.requests and {each.status for each in evil.requests} == {401} and credentials.asked == []


async def test_what_a_program_configures_runs_nothing(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    evil = tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    evil.chmod(0o755)
    job, _ = attempt(credentials)
    with Forge(tmp_path / "elsewhere", FACES) as elsewhere:
        made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
        shared = Path(git(made, "rev-parse", "--path-format=absolute", "--git-common-dir"))
        for name, value in {
            "core.fsmonitor": str(evil),
            "core.hooksPath": str(tmp_path / "hooks"),
            "filter.evil.clean": str(evil),
            "filter.evil.smudge": str(evil),
            "diff.evil.command": str(evil),
            "credential.helper": f"!{evil}",
            "http.proxy": "http://127.0.0.1:9",
            f"url.{elsewhere.url}/.insteadOf": f"{small_forge.url}/",
            "gpg.program": str(evil),
            "commit.gpgSign": "true",
            "core.sshCommand": str(evil),
            "extensions.worktreeConfig": "true",
        }.items():
            git(made, "config", name, value)
        for folder in (shared / "hooks", tmp_path / "hooks"):
            folder.mkdir(exist_ok=True)
            for hook in ("pre-push", "pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
                (folder / hook).write_text(evil.read_text())
                (folder / hook).chmod(0o755)
        (shared / "objects" / "info").mkdir(exist_ok=True)
        (shared / "objects" / "info" / "alternates").write_text("/nowhere\n")
        (shared / "config.worktree").write_text(f"[core]\n\tfsmonitor = {evil}\n")
        write(made, ".gitattributes", "* filter=evil diff=evil\n")
        write(made, "x.txt", "x")
        Path(made.place, ".git").unlink()
        subprocess.run(["git", "init", "-q", made.place], check=True)  # a repository of the program's own
        git(made, "config", "core.fsmonitor", str(evil))
        found = await workspaces.commit(made, "Work", job)
        await workspaces.push(made, found.commit, BRANCH, job)
        second, _ = attempt(credentials)
        await workspaces.prepare(second, small_forge.clone_url(repository), "main", "pavo/second")
        assert not marker.exists() and elsewhere.requests == []
    assert small_forge.file(repository, BRANCH, "x.txt") == "x"
    assert small_forge.git(repository, "rev-parse", f"{BRANCH}^") == made.base_commit


async def test_a_program_that_destroys_its_worktree(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    write(made, "x", "x")
    git(made, "checkout", "-q", "--orphan", "nothing")
    found = await workspaces.commit(made, "Work", job)
    assert small_forge.git(repository, "cat-file", "-t", made.start_commit) == "commit"
    await workspaces.push(made, found.commit, BRANCH, job)
    assert small_forge.git(repository, "rev-parse", f"{BRANCH}^") == made.start_commit
    subprocess.run(["rm", "-rf", made.git_directory], check=True)
    write(made, "y", "y")
    more = await workspaces.commit(made, "More", job)
    assert [each.path for each in more.files] == ["x", "y"]
    await workspaces.remove(job.job_id, 1)


async def test_repositories_within_submodules_and_pointers(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str
) -> None:
    main = small_forge.branch(repository, "main")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    files = {
        ".gitmodules": '[submodule "s"]\n\tpath = s\n\turl = ext::sh -c touch% /tmp/pavo-never\n',
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "large.bin": pointer,
    }
    made = small_forge.commit(repository, files, "Modules", [main])
    small_forge.git(repository, "update-ref", "refs/heads/modules", made)
    job, log = attempt(credentials)
    workspace = await workspaces.prepare(job, small_forge.clone_url(repository), "modules", BRANCH)
    assert "submodules, which are not fetched" in log.text and "LFS" in log.text
    assert Path(workspace.place, "large.bin").read_text() == pointer
    assert not (await workspaces.difference(workspace, job)).changed
    nested = Path(workspace.place, "nested")
    subprocess.run(["git", "init", "-q", str(nested)], check=True)
    (nested / "inner").write_text("x")
    program = ["git", "-C", str(nested), "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*program, "add", "."], check=True)
    subprocess.run([*program, "commit", "-qm", "inner"], check=True)
    write(workspace, "outer", "x")
    found = await workspaces.commit(workspace, "Work", job)
    assert [each.path for each in found.files] == ["outer"] and "nested is a repository of its own" in log.text


async def test_links_out_of_the_worktree_are_not_followed(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("private")
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    Path(made.place, "folder").symlink_to(outside)
    Path(made.place, "file").symlink_to(outside / "secret.txt")
    Path(made.place, "README.md").unlink()
    Path(made.place, "README.md").symlink_to("/etc/hostname")
    found = await workspaces.commit(made, "Links", job)
    await workspaces.push(made, found.commit, BRANCH, job)
    modes = small_forge.git(repository, "ls-tree", "-r", BRANCH)
    assert (
        modes.count("120000") == 3
        and "secret" not in modes
        and small_forge.file(repository, BRANCH, "file") == str(outside / "secret.txt")
    )
    await workspaces.remove(job.job_id, 1)
    assert (outside / "secret.txt").read_text() == "private"
    second, _ = attempt(credentials)
    other = await workspaces.prepare(second, small_forge.clone_url(repository), "main", "pavo/second")
    subprocess.run(["rm", "-rf", other.place], check=True)
    Path(other.place).symlink_to(outside)
    await workspaces.remove(second.job_id, 1)
    assert (outside / "secret.txt").exists() and not Path(other.place).is_symlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Of 16 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(place)], capture_output=True)
    if done.returncode != 0:
        pytest.skip("this machine mounts nothing")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk(
    make: Callable[..., Workspaces],
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    small_disk: Path,
) -> None:
    workspaces = make(folder=small_disk)
    url = small_forge.clone_url(repository)
    job, _ = attempt(credentials)
    made = await workspaces.prepare(job, url, "main", BRANCH)
    filler = Path(made.place, "filler")
    for size in (1_000_000, 4_096, 1):
        try:
            with filler.open("ab") as file:
                while True:
                    file.write(os.urandom(size))
                    file.flush()
        except OSError:
            pass
    with pytest.raises(CommandFailed) as full:
        await workspaces.commit(made, "Too much", job)
    assert full.value.kind == NO_SPACE and full.value.remedy and full.value.retryable
    second, _ = attempt(credentials)
    with pytest.raises(CommandFailed) as none:
        await workspaces.prepare(second, url, "main", "pavo/second")
    assert none.value.kind == NO_SPACE
    filler.unlink()
    write(made, "x", "x")
    found = await workspaces.commit(made, "Goes on", job)
    await workspaces.push(made, found.commit, BRANCH, job)
    assert small_forge.branch(repository, BRANCH) == found.commit
    await workspaces.prepare(second, url, "main", "pavo/second")


async def test_a_repository_larger_than_the_disk(
    make: Callable[..., Workspaces],
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    small_disk: Path,
) -> None:
    large = os.urandom(12_000_000).hex()
    made = small_forge.commit(repository, {"large": large}, "Large", [small_forge.branch(repository, "main")])
    small_forge.git(repository, "update-ref", "refs/heads/large", made)
    job, _ = attempt(credentials)
    workspaces = make(folder=small_disk)
    with pytest.raises(CommandFailed) as full:
        await workspaces.prepare(job, small_forge.clone_url(repository), "large", BRANCH)
    assert full.value.kind == NO_SPACE, full.value.detail
    assert (await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)).base_branch == "main"
