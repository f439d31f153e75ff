"""Words that cannot be meant are refused with exit code 2 and their name, never with a traceback."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

PAVO = [sys.executable, "-m", "pavo.cli.main"]
BROKEN = b"\xff"


def pavo(words: Sequence[str | bytes], tmp_path: Path, **more: str | bytes) -> tuple[int, str]:
    """Exit code and output of a command that finds no stack."""
    inherited = {key: value for key, value in os.environb.items() if not key.startswith((b"PAVO_", b"DATABASE_URL"))}
    own = {os.fsencode(key): os.fsencode(value) for key, value in more.items()}
    done = subprocess.run(
        [os.fsencode(word) for word in (*PAVO, *words)],
        env={**inherited, b"PAVO_DATA_DIR": os.fsencode(tmp_path / "data"), b"PAVO_URL": b"http://127.0.0.1:1", **own},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


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


@pytest.mark.parametrize("value", [r'"\ud800"', r'["a", {"\udfff": 1}]'])
def test_an_option_that_is_no_text(tmp_path: Path, value: str) -> None:
    refused(["run", "title", "--option", f"steps={value}"], tmp_path, "--option", "steps")


@pytest.mark.parametrize("variable", ["PAVO_USER", "PAVO_TOKEN"])
@pytest.mark.parametrize("value", [b"ada\xff@example.com", b"two\nlines", b"bell\x07"])
def test_an_identity_that_fits_no_header(tmp_path: Path, variable: str, value: bytes) -> None:
    refused(["task", "list"], tmp_path, variable, **{variable: value})


def test_a_token_that_ends_in_a_newline_is_named(tmp_path: Path) -> None:
    refused(["task", "list"], tmp_path, "PAVO_TOKEN", PAVO_TOKEN="pavo_abc\n")
