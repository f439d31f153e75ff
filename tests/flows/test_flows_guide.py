"""`docs/guides/flows.md` as its reader follows it: every file is made, each command run, and says that."""

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.command import pavo

OF_SUCCESS = ("refund", "as expected", "fetch", "data-load", "Wrote")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


def test_the_guide_says_what_happens(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    guide = (root / "docs" / "guides" / "flows.md").read_text()
    blocks = BLOCK.findall(guide)
    assert len(blocks) == guide.count("```") // 2 and len(blocks) >= 8
    ran = list[str]()
    for kind, name, text in blocks:
        if name:
            (tmp_path / name).write_text(text)
            continue
        assert kind == "console", text
        first, *says = text.splitlines()
        words = shlex.split(first.removeprefix("$ "))
        if words[0] == "pip":
            continue
        ran.append(words[2])
        clean = {key: value for key, value in os.environ.items() if key not in ("PAVO_URL", "COLUMNS")}
        done = pavo(words[1:], clean)
        said = done.stdout + done.stderr
        place = -1
        for line in says:
            place = said.find(line, place + 1)
            assert place >= 0, (line, said)
        assert done.returncode == (0 if says[0].startswith(OF_SUCCESS) else 2), said
    assert {"validate", "show", "test"} <= set(ran)
