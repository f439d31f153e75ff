"""`docs/guides/flows-published.md` as its reader follows it: every file is made, each command run, and says that."""

import re
import shlex
import uuid
from pathlib import Path

import pytest

from tests.jobs.shell import shell_of

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


async def test_the_guide_says_what_happens(
    root: Path, stack: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = shell_of(monkeypatch, stack, f"{uuid.uuid4().hex}@example.com", environment["DATABASE_URL"])
    guide = (root / "docs" / "guides" / "flows-published.md").read_text()
    blocks, ran = BLOCK.findall(guide), 0
    assert len(blocks) == guide.count("```") // 2
    for kind, file, text in blocks:
        if file:
            (tmp_path / file).write_text(text)
            continue
        assert kind == "console"
        first, *says = text.splitlines()
        said = (await shell.type(*shlex.split(first.removeprefix("$ "))[1:])).stdout
        place = -1
        for line in says:
            place = said.find(line, place + 1)
            assert place >= 0, (line, said)
        ran += 1
    assert ran >= 8
