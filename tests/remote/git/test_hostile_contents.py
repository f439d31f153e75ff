"""What is in repositories, and what programs leave in them: nothing of it is run or fetched by the agent's own git."""

import os
import subprocess
from pathlib import Path

import pytest

from pavo.remote.workspaces import Workspaces
from tests.forges.small_forge import FACES, Forge
from tests.remote.git.attempts import GivesCredentials, attempt, git, write

BRANCH = "pavo/job"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
OTHER = "1" * 40
"""A commit of a repository that nobody here has."""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that is there once something was run."""
    return tmp_path / "marker"


@pytest.fixture
def evil(tmp_path: Path, marker: Path) -> Path:
    """A program that leaves the marker."""
    program = tmp_path / "evil.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {marker}\ncat\n')
    program.chmod(0o755)
    return program


def with_link(forge: Forge, repository: str, url: str) -> None:
    """A branch `modules` of the repository, whose folder `s` is a commit of the repository at this URL."""
    files = {".gitmodules": f'[submodule "s"]\n\tpath = s\n\turl = {url}\n\tupdate = !touch /tmp/pavo-never\n'}
    made = forge.commit(repository, files, "Modules", [forge.branch(repository, "main")])
    listed = forge.git(repository, "ls-tree", made)
    scope = {**os.environ, "GIT_DIR": str(forge.place(repository))}
    tree = subprocess.run(
        ["git", "mktree", "--missing"],
        env=scope,
        input=f"{listed.strip()}\n160000 commit {OTHER}\ts\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    commit = forge.git(
        repository, "-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", tree, "-m", "Link"
    ).strip()
    forge.git(repository, "update-ref", "refs/heads/modules", commit)


async def test_submodules_are_not_fetched_and_stay_as_they_are(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, tmp_path: Path
) -> None:
    with Forge(tmp_path / "evil", FACES) as elsewhere:
        with_link(small_forge, repository, f"{elsewhere.url}/acme/evil.git")
        job, log = attempt(credentials)
        made = await workspaces.prepare(job, small_forge.clone_url(repository), "modules", BRANCH)
        assert "submodules, which are not fetched" in log.text and list(Path(made.place, "s").iterdir()) == []
        assert not (await workspaces.difference(made, job)).changed
        write(made, "x", "x")
        found = await workspaces.commit(made, "Work", job)
        await workspaces.push(made, found.commit, BRANCH, job)
        assert [each.path for each in found.files] == ["x"]
        assert f"160000 commit {OTHER}\ts" in small_forge.git(repository, "ls-tree", BRANCH)
        assert elsewhere.requests == [] and not Path("/tmp/pavo-never").exists()
        hosts = {host for _, _, _, host in credentials.asked}
        assert len(hosts) == 1, "no other host was shown a credential"


async def test_submodules_that_a_program_adds_fetch_and_run_nothing(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    tmp_path: Path,
    evil: Path,
    marker: Path,
) -> None:
    """With repositories of its own in them, committed and not, whose configuration names programs."""
    with Forge(tmp_path / "elsewhere", FACES) as elsewhere:
        job, log = attempt(credentials)
        made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
        for name in ("committed", "left"):
            nested = Path(made.place, name)
            subprocess.run(["git", "init", "-q", str(nested)], check=True)
            (nested / "f").write_text("1")
            own = ["git", "-C", str(nested), "-c", "user.name=x", "-c", "user.email=x@x"]
            subprocess.run([*own, "add", "."], check=True)
            subprocess.run([*own, "commit", "-qm", "inner"], check=True)
            (nested / ".gitattributes").write_text("* filter=evil diff=evil\n")
            for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process"):
                subprocess.run([*own, "config", key, str(evil)], check=True)
            subprocess.run([*own, "config", "diff.evil.textconv", str(evil)], check=True)
            subprocess.run([*own, "config", "core.hooksPath", str(tmp_path)], check=True)
            for hook in ("post-index-change", "reference-transaction", "pre-push", "post-checkout"):
                (tmp_path / hook).write_text(evil.read_text())
                (tmp_path / hook).chmod(0o755)
        modules = f'[submodule "committed"]\n\tpath = committed\n\turl = {elsewhere.url}/acme/evil.git\n'
        write(made, ".gitmodules", modules + f"\tupdate = !{evil}\n\tignore = none\n\tfetchRecurseSubmodules = true\n")
        git(made, "add", ".gitmodules", "committed")
        git(made, "commit", "-qm", "With a module")
        git(made, "config", "submodule.recurse", "true")
        git(made, "config", "push.recurseSubmodules", "on-demand")
        marker.unlink(missing_ok=True)  # of the program's own git
        for name in ("committed", "left"):
            Path(made.place, name, "f").write_text("changed")
        found = await workspaces.commit(made, "Work", job)
        assert await workspaces.write_patch(made, found, 1_000_000)
        await workspaces.push(made, found.commit, BRANCH, job)
        second, _ = attempt(credentials)
        await workspaces.prepare(second, small_forge.clone_url(repository), BRANCH, "pavo/second")
        assert not marker.exists(), marker.read_text()
        assert elsewhere.requests == [] and "left is a repository of its own" in log.text
    listed = small_forge.git(repository, "ls-tree", "-r", "--name-only", BRANCH).splitlines()
    assert listed == [".gitmodules", "README.md", "committed"], "no file of a repository within"


async def test_lfs_and_filters_of_the_machine_run_nothing(
    workspaces: Workspaces,
    credentials: GivesCredentials,
    small_forge: Forge,
    repository: str,
    tmp_path: Path,
    evil: Path,
    marker: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the user's own configuration, as `git lfs install` writes it; without git-lfs that would fail the checkout."""
    home = tmp_path / "of-the-user"
    home.mkdir()
    lines = [
        f'[filter "{name}"]\n\tclean = {evil}\n\tsmudge = {evil}\n\tprocess = {evil}\n\trequired = true\n'
        for name in ("lfs", "x")
    ]
    (home / ".gitconfig").write_text("".join(lines) + f"[core]\n\tfsmonitor = {evil}\n\thooksPath = {home}\n")
    for name, value in (("HOME", home), ("XDG_CONFIG_HOME", home), ("GIT_CONFIG_GLOBAL", home / ".gitconfig")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(home / ".gitconfig"))
    files = {
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n*.txt filter=x\n",
        ".lfsconfig": f"[lfs]\n\turl = http://127.0.0.1:9/lfs\n\tcustomtransfer.x.path = {evil}\n",
        "large.bin": POINTER,
        "a.txt": "a",
    }
    tip = small_forge.commit(repository, files, "LFS", [small_forge.branch(repository, "main")])
    small_forge.git(repository, "update-ref", "refs/heads/lfs", tip)
    marker.unlink(missing_ok=True)
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "lfs", BRANCH)
    assert Path(made.place, "large.bin").read_text() == POINTER and "LFS: their pointers are left" in log.text
    assert not (await workspaces.difference(made, job)).changed
    Path(made.place, "large.bin").write_text(POINTER.replace("12345", "54321"))
    write(made, "new.bin", "content that a filter of LFS would have taken")
    write(made, "b.txt", "b")
    found = await workspaces.commit(made, "Work", job)
    assert await workspaces.write_patch(made, found, 1_000_000)
    await workspaces.push(made, found.commit, BRANCH, job)
    assert not marker.exists(), marker.read_text()
    assert small_forge.file(repository, BRANCH, "large.bin") == POINTER.replace("12345", "54321").strip()
    assert small_forge.file(repository, BRANCH, "new.bin").startswith("content that")


async def test_a_file_of_gits_in_the_repository_is_only_a_file(
    workspaces: Workspaces, credentials: GivesCredentials, small_forge: Forge, repository: str, evil: Path, marker: Path
) -> None:
    """Links in the place of `.git`, of `.gitattributes` and `.gitmodules`, and a name that git takes for its own."""
    job, log = attempt(credentials)
    made = await workspaces.prepare(job, small_forge.clone_url(repository), "main", BRANCH)
    Path(made.place, ".git").unlink()
    Path(made.place, ".git").symlink_to("/etc")
    Path(made.place, ".gitattributes").symlink_to("/etc/hostname")
    Path(made.place, ".gitmodules").symlink_to(evil)
    write(made, "folder/.git/config", f"[core]\n\tfsmonitor = {evil}\n")
    write(made, "folder/.git/HEAD", "ref: refs/heads/main\n")
    write(made, "x", "x")
    found = await workspaces.commit(made, "Work", job)
    await workspaces.push(made, found.commit, BRANCH, job)
    assert not marker.exists() and "'.gitmodules' cannot be in a repository" in log.text
    assert small_forge.file(repository, BRANCH, "x") == "x"
    assert "folder/.git" not in small_forge.git(repository, "ls-tree", "-r", "--name-only", BRANCH)
