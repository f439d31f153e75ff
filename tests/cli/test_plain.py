"""Plain output: with NO_COLOR on a terminal, and without a terminal."""

import codecs
import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

PAVO = [sys.executable, "-m", "pavo.cli.main"]
ESCAPE = "\x1b"


class Terminal:
    """A command on a pseudo-terminal, and what it printed so far."""

    def __init__(self, words: Sequence[str], **environment: str) -> None:
        self._master, slave = pty.openpty()
        self.said = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end within a character
        clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "PAVO_URL")}
        self.process = subprocess.Popen(
            [*PAVO, *words],
            env={**clean, "TERM": "xterm-256color", **environment},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def until(self, text: str | None, seconds: float = 60) -> str:
        """Read until this was printed (None: until the command ended)."""
        end = time.monotonic() + seconds
        while text is None or text not in self.said:
            assert select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0], self.said
            read = b""
            with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
                read = os.read(self._master, 65536)
            if not read:
                assert text is None, self.said
                break
            self.said += self._decoder.decode(read)
        return self.said

    def type(self, line: str) -> None:
        os.write(self._master, f"{line}\n".encode())

    def close(self) -> int:
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        if self.process.poll() is None:
            self.process.terminate()
        os.close(self._master)
        return self.process.wait(30)


RUN = ["run", "Analyze churn drivers", "--option", "steps=3", "--option", "step_seconds=0.2"]


def review(stack: str, **environment: str) -> str:
    """A run whose plan a person comments and accepts."""
    terminal = Terminal(RUN, PAVO_URL=stack, **environment)
    try:
        terminal.until("ater")
        terminal.type("f")
        terminal.until("an empty line ends")
        terminal.type("Shorter, please")
        terminal.type("")
        terminal.until("v2")
        terminal.type("a")
        said = terminal.until(None)
    finally:
        code = terminal.close()
    assert code == 0 and "Done: 3 checkpoints recorded" in said and "accepted" in said, said
    return said


async def test_a_terminal_shows_more(stack: str) -> None:
    """So that the next test cannot pass for want of a terminal."""
    assert ESCAPE in review(stack)


async def test_no_color_is_plain_and_still_asks(stack: str) -> None:
    said = review(stack, NO_COLOR="1")
    assert ESCAPE not in said, said


@pytest.mark.parametrize("words", [["--help"], ["up", "--help"], ["statsu"], ["up", "--port=-1"], ["agents", "list"]])
def test_no_color_is_plain_everywhere(words: list[str]) -> None:
    terminal = Terminal(words, NO_COLOR="1")
    said = terminal.until(None)
    assert terminal.close() in (0, 2) and len(said) > 20 and ESCAPE not in said, said


def test_no_color_is_plain_while_a_stack_starts_and_ends(tmp_path: Path) -> None:
    words = ["up", "--ephemeral", "--port", "0", "--no-spare-worker", "--data-dir", str(tmp_path / "data")]
    terminal = Terminal(words, NO_COLOR="1")
    try:
        terminal.until("Next")
        terminal.process.send_signal(signal.SIGINT)
        said = terminal.until(None)
    finally:
        code = terminal.close()
        subprocess.run([*PAVO, "reset", "--yes", "--data-dir", str(tmp_path / "data")], check=False)
    assert code == 0 and "✓ postgres" in said and ESCAPE not in said, said
    assert not (tmp_path / "data").exists()
