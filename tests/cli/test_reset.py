"""`pavo reset` and starts beside one another: who has the data directory's lock, and what others are told."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from tests import command

from pavo.cli.stack.up import _clear
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.stack import THROW_AWAY
from pavo.deploy.model import state
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import StackState, Urls
from pavo.errors import Conflict
from pavo.kit.processes import ProcessIdentity


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A data directory with something to lose."""
    found = Layout(tmp_path / "data")
    found.logs.mkdir(parents=True)
    (found.root / "postgres").mkdir()
    (found.root / "postgres" / "kept").touch()
    found.lock.touch()
    return found


@contextmanager
def held(layout: Layout) -> Iterator[None]:
    """Another process that holds the lock, as a stack that is just starting does."""
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    words = [sys.executable, "-c", code, str(layout.lock)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        yield
        process.stdin.write(b"\n")


def running_here(layout: Layout) -> None:
    """A state file that says that this very process supervises a stack."""
    me = ProcessIdentity.of(os.getpid())
    assert me is not None
    urls = Urls("http://127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1/docs", "http://127.0.0.1:2")
    state.write(layout, StackState(me, True, False, str(layout.root), (), urls, {}))


def pavo(layout: Layout, words: Sequence[str]) -> tuple[int, str]:
    done = command.pavo([*words, "--data-dir", str(layout.root)])
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("words", [["reset", "--yes"], ["deploy", "destroy", "--auto-approve"]])
def test_a_stack_that_is_starting_keeps_its_data(layout: Layout, words: list[str]) -> None:
    if words[0] == "deploy":
        (layout.root / "deployment.json").write_text(json.dumps({"target": "embedded"}))
    with held(layout):
        code, said = pavo(layout, words)
    assert code == 4 and "--data-dir" in said, said
    assert (layout.root / "postgres" / "kept").exists()
    assert pavo(layout, words)[0] == 0 and not layout.root.exists()


@pytest.mark.parametrize("words", [["reset", "--yes"], ["up", "--detach"]])
def test_a_running_stack_is_a_conflict_everywhere(layout: Layout, words: list[str]) -> None:
    running_here(layout)
    code, said = pavo(layout, words)
    assert code == 4 and "pavo" in said, said
    assert (layout.root / "postgres" / "kept").exists()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["up"], ["up", "--detach"]):
        code, said = pavo(Layout(tmp_path / "file" / "data"), words)
        assert code == 2 and "--data-dir" in said


def test_throw_away_data_of_a_running_stack_stay(layout: Layout) -> None:
    """A second `pavo up` on them is refused, and must not clear up what the first one works on."""
    (layout.root / THROW_AWAY).touch()
    with held(layout):
        _clear(layout.root)
        assert (layout.root / "postgres" / "kept").exists()
    _clear(layout.root)
    assert not layout.root.exists()


def test_a_lock_on_a_removed_file_is_none(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removes the data between opening the file and locking it: others would lock another file."""
    flock, removed = fcntl.flock, list[Path]()

    def late(lock: IO[str], operation: int) -> None:
        if not removed:
            removed.append(layout.lock)
            layout.lock.unlink()
        flock(lock, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with take_lock(layout):
        assert removed
        with pytest.raises(Conflict):
            take_lock(layout)
