"""A workspace has no way out: links, `..`, absolute paths, pipes, and whoever exchanges folders meanwhile."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from pavo.artifacts.folder_store import FolderStore
from pavo.errors import ArtifactError
from pavo.tools.builtin.files import text_of
from pavo.tools.workspaces import beneath
from pavo.tools.workspaces.folder_workspace import FolderWorkspace


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(inside: Path, tmp_path: Path) -> FolderWorkspace:
    return FolderWorkspace(inside, FolderStore(tmp_path / "kept"), 10_000)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../outside/secret", "a/../../outside/secret", "", "a//b", ".", "a\0b"]
)
def test_paths_that_are_none(workspace: FolderWorkspace, outside: Path, path: str) -> None:
    for work in (workspace.read, workspace.size, lambda each: workspace.write(each, "x")):
        with pytest.raises(ArtifactError):
            work(path)
    assert [each.name for each in outside.iterdir()] == ["secret"]


def test_links_are_not_followed(workspace: FolderWorkspace, inside: Path, outside: Path) -> None:
    (inside / "file").symlink_to(outside / "secret")
    (inside / "folder").symlink_to(outside)
    for path in ("file", "folder/secret"):
        with pytest.raises(ArtifactError, match="link"):
            workspace.read(path)
    with pytest.raises(ArtifactError, match="link"):
        workspace.write("folder/new", "x")
    with pytest.raises(ArtifactError, match="link"):
        workspace.files("folder")
    assert workspace.files() == []
    workspace.write("file", "mine")
    assert (outside / "secret").read_text() == "secret" and workspace.read("file") == b"mine"
    assert not (inside / "file").is_symlink(), "the link itself was replaced"


def test_what_is_no_plain_file_is_not_waited_for(workspace: FolderWorkspace, inside: Path) -> None:
    os.mkfifo(inside / "pipe")
    (inside / "folder").mkdir()
    for path in ("pipe", "folder"):
        with pytest.raises(ArtifactError, match="is no file"):
            workspace.read(path)


def test_folders_that_become_links_meanwhile_lead_nowhere(
    workspace: FolderWorkspace, inside: Path, outside: Path
) -> None:
    """As by an agent whose tools write beside it."""
    (inside / "real").mkdir()
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            with suppress(OSError):  # the workspace makes the folder, too
                (inside / "swapped").symlink_to(outside)
                (inside / "swapped").unlink()
            with suppress(OSError):
                (inside / "real").rename(inside / "swapped")
                (inside / "swapped").rename(inside / f"real-{len(os.listdir(inside))}")
                (inside / "real").mkdir()

    exchanging = threading.Thread(target=exchange)
    exchanging.start()
    refused = 0
    try:
        for number in range(300):
            try:
                workspace.write(f"swapped/{number}", "x")
            except ArtifactError:
                refused += 1
            try:
                assert workspace.read("swapped/secret") != b"secret"
            except ArtifactError:
                refused += 1
    finally:
        stop.set()
        exchanging.join()
    assert [each.name for each in outside.iterdir()] == ["secret"] and refused


def test_files_of_others_that_were_linked_are_not_read(workspace: FolderWorkspace, inside: Path, outside: Path) -> None:
    (inside / "own").hardlink_to(outside / "secret")
    if os.geteuid():
        assert workspace.read("own") == b"secret", "of the same user"
        return
    os.chown(inside, 12345, 12345)
    with pytest.raises(ArtifactError, match="somebody else's"):
        workspace.read("own")
    workspace.write("made/by.txt", "x")
    assert {(inside / each).stat().st_uid for each in ("made", "made/by.txt")} == {12345}


def test_limits_and_the_end(workspace: FolderWorkspace, inside: Path, tmp_path: Path) -> None:
    workspace.write("a", "x" * 9_000)
    workspace.write("a", "y" * 10_000)
    with pytest.raises(ArtifactError, match="10,000 bytes"):
        workspace.write("b", "z")
    written = workspace.end()
    assert {path: each.bytes for path, each in written.items()} == {"a": 10_000}
    assert len(list((tmp_path / "kept" / "incoming").iterdir())) == 1
    with pytest.raises(ArtifactError, match="over"):
        workspace.write("c", "late")
    assert [each.name for each in inside.iterdir()] == ["a"]


def test_a_part_of_a_text_ends_before_a_letter() -> None:
    data = "aé€😀".encode()
    for end in range(len(data) + 1):
        text, taken = text_of(data[:end], at_end=end == len(data))
        assert text is not None and text.encode() == data[:taken] and end - taken < 4
    assert text_of(b"\xff\xfe", at_end=True)[0] is None and text_of(b"a\0b", at_end=False)[0] is None


def test_what_is_in_the_way_of_a_file_is_set_aside(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to(outside)
    (inside / "plain").write_text("mine")
    (inside / "folder/there").mkdir(parents=True)
    (inside / "closed/below").mkdir(parents=True)
    (inside / "closed").chmod(0)
    for path in ("link/a", "plain/b/c", "folder", "closed/below/d", "new/e"):
        parts = path.split("/")
        beneath.set_aside(inside, parts)
        beneath.write(inside, parts, lambda to: os.close(os.dup(to)))
        assert (inside / path).is_file(), path
    assert [each.name for each in outside.iterdir()] == ["secret"]
    aside = {each.name.partition(".")[0] for each in inside.iterdir() if each.name.endswith(".aside")}
    assert {"link", "plain", "folder"} <= aside, "nothing of it is gone"
