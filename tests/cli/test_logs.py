"""`pavo logs`: how many lines, of which part, for people and for programs, and into a pipe that closes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import command

from pavo.deploy.local.machine.logs import LogFile

PAVO = [sys.executable, "-m", "pavo.cli.main"]
PARTS = ("api", "worker-1")
LINES = 6000


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with two logs."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "logs").mkdir()
    for part in PARTS:
        (folder / "logs" / f"{part}.log").write_text("".join(f"line {n} of {part}\n" for n in range(1, LINES + 1)))
    return folder


def logs(data_dir: Path, *words: str, expect: int = 0) -> list[str]:
    done = command.pavo(["logs", *words, "--data-dir", str(data_dir)])
    assert done.returncode == expect and "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def test_the_newest_lines(data_dir: Path) -> None:
    assert logs(data_dir, "api", "--lines", "2") == [f"line {LINES - 1} of api", f"line {LINES} of api"]
    assert [line.split()[0] for line in logs(data_dir, "--lines", "1")] == list(PARTS)


def test_no_line_where_none_is_wanted(data_dir: Path) -> None:
    assert logs(data_dir, "--lines", "0") == []
    assert logs(data_dir, "--lines=-3", expect=2) == []


def test_a_json_object_for_each_line(data_dir: Path) -> None:
    found = [json.loads(line) for line in logs(data_dir, "--lines", "1", "-o", "json")]
    assert found == [{"part": part, "line": f"line {LINES} of {part}"} for part in PARTS]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reader_that_has_enough(data_dir: Path, form: str) -> None:
    """As `pavo logs | head -1`: the pipe closes while much is left to write."""
    words = [*PAVO, "logs", "--lines", "5000", "--data-dir", str(data_dir), "-o", form]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert b"line" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


def test_a_table_into_a_pipe_that_is_closed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PAVO, "deploy", "versions"], stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False, cwd=tmp_path
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_is_shown_as_a_terminal_may_have_it(tmp_path: Path, form: str) -> None:
    """A line that was written before, or by somebody else: it is one line, and nothing in it acts."""
    (tmp_path / "logs").mkdir()
    line = "\x1b[2J \x9b1A \u202e \x0b \u2028 \r \ttab"
    (tmp_path / "logs/api.log").write_text(f"{line}\nsecond\n", newline="")
    first, second = logs(tmp_path, "api", "-o", form)
    assert first.isprintable() or "\t" in first
    if form == "json":
        assert json.loads(first) == {"part": "api", "line": line}
    else:
        assert (first, second) == ("\\u001b[2J \\u009b1A \\u202e \\u000b \\u2028 \\r \ttab", "second")


def test_a_log_file_is_written_as_a_terminal_may_have_it(tmp_path: Path) -> None:
    with LogFile(tmp_path / "a.log") as log:
        for line in (b"\x1b[2J\xc2\x9b\r\n", b"\xff half \xc3\n", '{"é": "\u202e"}'.encode()):
            log.write(line)
    lines = [line.partition("Z ")[2] for line in (tmp_path / "a.log").read_bytes().decode().splitlines()]
    assert lines == ["\\u001b[2J\\u009b", "\\xff half \\xc3", '{"é": "\\u202e"}']
    assert json.loads(lines[2]) == {"é": "\u202e"}
