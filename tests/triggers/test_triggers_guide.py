"""`docs/guides/triggers.md` as its reader follows it: each command is run and says that, and its program sends."""

import asyncio
import re
import shlex
import sys
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
    guide = (root / "docs" / "guides" / "triggers.md").read_text()
    blocks = BLOCK.findall(guide)
    assert len(blocks) == guide.count("```") // 2 and len(blocks) >= 6
    ran, secret, path = set[str](), "", ""
    for kind, name, text in blocks:
        if name:
            (tmp_path / name).write_text(text)
            continue
        assert kind == "console", text
        for command in re.split(r"^\$ ", text, flags=re.M)[1:]:
            first, *says = command.splitlines()
            words = shlex.split(first)[1:]
            if first.startswith("python "):
                said = await sent(tmp_path / words[0], stack + path, secret)
            else:
                ran.add(words[1])
                typed = await shell.type(*words)
                said = typed.stdout + typed.stderr
            if words[1] == "create" and not secret:
                [secret], [path] = re.findall(r"whsec_\S+", said), re.findall(r"/api/triggers/[0-9a-f-]+", said)
            place = -1
            for line in says:
                place = said.find(line, place + 1)
                assert place >= 0, (first, line, said)
    assert ran == {"create", "firings", "rotate", "list", "show", "pause", "resume", "remove"}


async def sent(program: Path, address: str, secret: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), address, secret, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return said.decode()
