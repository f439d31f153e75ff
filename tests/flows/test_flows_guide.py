"""The guides to flows as their readers follow them: every file is made, each command run, and says that."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Done, pavo

OF_SUCCESS = ("refund", "as expected", "fetch", "data-load", "Wrote", "flow:", "test ", "activity1")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
GUIDES = {"flows": {"validate", "show", "test"}, "flows-converting": {"convert", "show"}}


@pytest.mark.parametrize("name", GUIDES)
def test_the_guide_says_what_happens(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    guide = (root / "docs" / "guides" / f"{name}.md").read_text()
    blocks = BLOCK.findall(guide)
    assert len(blocks) == guide.count("```") // 2 and len(blocks) >= 8
    ran = set[str]()
    for kind, file, text in blocks:
        if file:
            (tmp_path / file).write_text(text)
        elif kind != "toml":
            assert kind == "console", text
            ran.add(_follow(text))
    assert GUIDES[name] <= ran


def _follow(text: str) -> str:
    """Run a command of a guide; it says each line, in their order."""
    first, *says = text.splitlines()
    words = shlex.split(first.removeprefix("$ "))
    if words[0] == "pip":
        return words[0]
    clean = {key: value for key, value in os.environ.items() if key not in ("PAVO_URL", "COLUMNS")}
    if words[0] == "python":
        ran = subprocess.run([sys.executable, *words[1:]], env=clean, capture_output=True, text=True, timeout=60)
        done = Done(ran.returncode, ran.stdout, ran.stderr)
    else:
        done = pavo(words[1:], clean)
    said = done.stdout + done.stderr
    place = -1
    for line in says:
        place = said.find(line, place + 1)
        assert place >= 0, (line, said)
    assert done.returncode == (0 if says[0].startswith(OF_SUCCESS) else 2), said
    return words[2] if words[0] == "pavo" else words[0]
