"""Words that cannot be meant are refused with exit code 2 and their name, never with a traceback."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests import command

BROKEN = b"\xff"


def pavo(words: Sequence[str | bytes], tmp_path: Path, **more: str | bytes) -> tuple[int, str]:
    """Exit code and output of a command that finds no stack."""
    done = command.pavo(words, {**nowhere(tmp_path), **{key: os.fsdecode(value) for key, value in more.items()}})
    return done.returncode, done.stdout + done.stderr


def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment that leads to no stack."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PAVO_", "DATABASE_URL"))}
    return {**inherited, "PAVO_DATA_DIR": str(tmp_path / "data"), "PAVO_URL": "http://127.0.0.1:1"}


def refused(words: Sequence[str | bytes], tmp_path: Path, *named: str, **more: str | bytes) -> None:
    code, said = pavo(words, tmp_path, **more)
    assert code == 2 and "Traceback" not in said, said
    for name in named:
        assert name in said, said


@pytest.mark.parametrize("command", [["up"], ["deploy", "start", "--target", "embedded", "--dry-run"]])
@pytest.mark.parametrize("port", ["-1", "70000", "99999999999999999999"])
def test_a_port_outside_the_range(tmp_path: Path, command: list[str], port: str) -> None:
    refused([*command, f"--port={port}"], tmp_path, "--port")


@pytest.mark.parametrize(
    "words",
    [
        ["run", BROKEN],
        ["run", "title", "--agent", BROKEN],
        ["run", "title", b"--agent=" + BROKEN],
        ["token", "revoke", BROKEN],
        ["task", "show", b"a" + BROKEN],
        ["logs", BROKEN],
    ],
)
def test_a_word_that_is_no_text(tmp_path: Path, words: list[str | bytes]) -> None:
    refused(words, tmp_path, "UTF-8", r"\xff", DATABASE_URL="postgresql://127.0.0.1:1/pavo")


def test_a_process_gets_bytes_and_ends_as_documented(tmp_path: Path) -> None:
    """What the other tests of this file leave out: the system's own words and environment, and the exit code."""
    words = [os.fsencode(sys.executable), b"-m", b"pavo.cli.main", b"run", BROKEN]
    done = subprocess.run(words, env=nowhere(tmp_path), capture_output=True, timeout=60, check=False)
    assert done.returncode == 2 and b"UTF-8" in done.stderr and b"Traceback" not in done.stderr
    environment = {os.fsencode(key): os.fsencode(value) for key, value in nowhere(tmp_path).items()}
    words = [os.fsencode(sys.executable), b"-m", b"pavo.cli.main", b"task", b"list"]
    environment[b"PAVO_USER"] = b"ada\xff@example.com"
    done = subprocess.run(words, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2 and b"PAVO_USER" in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize("value", [r'"\ud800"', r'["a", {"\udfff": 1}]'])
def test_an_option_that_is_no_text(tmp_path: Path, value: str) -> None:
    refused(["run", "title", "--option", f"steps={value}"], tmp_path, "--option", "steps")


@pytest.mark.parametrize("variable", ["PAVO_USER", "PAVO_TOKEN"])
@pytest.mark.parametrize("value", [b"ada\xff@example.com", b"two\nlines", b"bell\x07"])
def test_an_identity_that_fits_no_header(tmp_path: Path, variable: str, value: bytes) -> None:
    refused(["task", "list"], tmp_path, variable, **{variable: value})


def test_a_token_that_ends_in_a_newline_is_named(tmp_path: Path) -> None:
    refused(["task", "list"], tmp_path, "PAVO_TOKEN", PAVO_TOKEN="pavo_abc\n")
